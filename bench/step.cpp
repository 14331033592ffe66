/// What a training step costs beyond its matrix products.
///
///   bench_step [--reps N] [--kernels] [ane-train's settings: --config stories110m --threads 2 ...]
///
/// Steps and their floor (floor.h) run in turn, so that both meet the same machine; all figures are medians. --kernels:
/// each kind of kernel alone, in turn with its own products.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/half.h"
#include "ane/mil/text.h"

#include "bench.h"
#include "floor.h"
#include "table.h"

namespace ane::bench {
namespace {

constexpr const char* kClassifier = "classifier";
constexpr const char* kWeightGradients = "weight gradients";

std::string rate(double flops, double milliseconds) {
  return milliseconds == 0 ? std::string() : fmt::format("{:.0f}", flops / milliseconds * 1e-6);
}

void head(const std::string& name, const std::string& time) { print_head(name, time, "floor", "GFLOP/s"); }

/// The products of a step, each with the part that it belongs to.
struct StepProducts {
  std::vector<Product> products;
  std::vector<std::string> parts;
  std::map<std::string, double> flops;  ///< by part

  void add(const std::string& part, std::vector<Product> more) {
    for (Product& product : more) {
      flops[part] += product.flops();
      products.push_back(std::move(product));
      parts.push_back(part);
    }
  }
};

StepProducts step_products(Training& training, const std::vector<Call>& runs) {
  std::map<std::string, mil::Program> programs;
  for (const model::KernelInfo& kernel : training.model().kernels()) programs.emplace(kernel.name, kernel.program);
  StepProducts result;
  for (const Call& run : runs)
    result.add(run.kernel, products_of(programs.at(run.kernel), fmt::format("{}.{}/", run.kernel, run.copy)));
  CpuProducts cpu = cpu_products(training.model().parameters(), static_cast<std::size_t>(training.settings().seq));
  result.add(kClassifier, std::move(cpu.classifier));
  result.add(kWeightGradients, std::move(cpu.weight_gradients));
  return result;
}

class StepBenchmark {
 public:
  StepBenchmark(const cli::Settings& settings, std::int64_t reps) : training_(settings), reps_(reps) {}

  void run() {
    warm_up();
    GemmFloor floor(products_.products, training_.threads());
    check_products(floor.flops());
    static_cast<void>(floor.run());
    for (Repetitions repetitions(reps_); repetitions.again();) {
      time_floor(floor);
      time_step();
      times_.add("update", time_of([&] { training_.update(); }));
      times_.add("compile", time_of([&] { training_.compile(); }));
      static_cast<void>(training_.device().take_compiles());
    }
    print_heading(training_);
    print_step(floor.flops());
    print_parts();
    print_kernels();
  }

 private:
  void warm_up() {
    training_.compile();
    static_cast<void>(training_.step());
    products_ = step_products(training_, training_.device().take_runs());
    training_.update();
    training_.compile();
    static_cast<void>(training_.device().take_compiles());
  }

  /// The model counts attention's backward products alone; its forward ones and those it recomputes come on top.
  void check_products(double found) {
    const double counted = training_.model().summary().flops_per_step.total();
    if (found < counted)
      throw Error(fmt::format("the floor has {:.0f} MFLOP, but a step {:.0f}: it lacks products", found * 1e-6,
                              counted * 1e-6));
  }

  void time_floor(GemmFloor& floor) {
    const std::vector<Duration> times = floor.run();
    Sums sums;
    for (std::size_t i = 0; i < times.size(); ++i) {
      sums.add("step", times[i]);
      sums.add(products_.parts[i], times[i]);
      if (products_.parts[i] != kClassifier && products_.parts[i] != kWeightGradients) sums.add("ane", times[i]);
    }
    sums.give(floors_);
  }

  void time_step() {
    model::StepTimes parts;
    times_.add("step", time_of([&] { parts = training_.step(); }));
    Sums sums;
    sums.add("ane", parts.ane);
    sums.add("io", parts.io);
    sums.add("cls", parts.classifier);
    sums.add("elem", parts.elementwise);
    sums.add("rms", parts.rms_norm);
    sums.add("blas_wait", parts.blas_wait);
    for (const Call& run : training_.device().take_runs()) sums.add(run.kernel, run.time);
    sums.give(times_);
  }

  void print_step(double flops) const {
    const double floor = floors_.milliseconds("step");
    const double step = times_.milliseconds("step");
    const auto accum = static_cast<double>(training_.settings().accum_steps);
    const double updated = step + times_.milliseconds("update") / accum;
    const double compiled = updated + times_.milliseconds("compile") / accum;
    head("step", "ms/step");
    print_row("forward + backward", step, floor, rate(flops, step));
    print_row(fmt::format("+ update / {}", accum), updated, floor, rate(flops, updated));
    print_row(fmt::format("+ compile / {}", accum), compiled, floor, rate(flops, compiled));
    print_row("one update", times_.milliseconds("update"), 0);
    print_row("one compile round", times_.milliseconds("compile"), 0);
  }

  void print_parts() {
    fmt::print("\n");
    head("part of a step", "ms/step");
    print_part("ane", "ane", "kernels");
    print_part("io", "", "surfaces");
    print_part("cls", kClassifier, "classifier");
    print_part("elem", kWeightGradients, "weight gradients, sums");
    print_part("rms", "", "RMSNorm");
    print_part("blas_wait", "", "waiting for products");
  }

  void print_part(const std::string& part, const std::string& floor_part, const std::string& name) {
    const double time = times_.milliseconds(part);
    const double floor = floors_.milliseconds(floor_part);
    const double flops = part == "ane" ? kernel_flops() : products_.flops[floor_part];
    print_row(name, time, floor, floor == 0 ? "" : rate(flops, time));
  }

  [[nodiscard]] double kernel_flops() const {
    double sum = 0;
    for (const auto& [part, flops] : products_.flops)
      if (part != kClassifier && part != kWeightGradients) sum += flops;
    return sum;
  }

  void print_kernels() {
    fmt::print("\n");
    head("kernel", "ms/step");
    for (const model::KernelInfo& kernel : training_.model().kernels())
      print_part(kernel.name, kernel.name, kernel.name);
  }

  Training training_;
  std::int64_t reps_;
  StepProducts products_;
  Samples times_;
  Samples floors_;
};

/// Surfaces for a kernel's ports, filled with numbers of ordinary size.
class Ports {
 public:
  Ports(std::span<const device::Port> ports, surface::SurfacePool& pool) {
    for (const device::Port& port : ports) {
      surfaces_.push_back(pool.acquire(port.size_bytes));
      if (port.type.dtype != mil::DType::fp16) continue;
      const Floats values(port.size_bytes / sizeof(math::Half));
      const auto mapping = surfaces_.back().map_for_write();
      math::to_half(values.all(), mapping.as<math::Half>());
    }
    for (surface::Surface& surface : surfaces_) pointers_.push_back(&surface);
  }
  [[nodiscard]] std::span<surface::Surface* const> all() const noexcept { return pointers_; }

 private:
  std::vector<surface::Surface> surfaces_;
  std::vector<surface::Surface*> pointers_;
};

void time_kernels(const cli::Settings& settings, std::int64_t reps) {
  Training training(settings);
  training.compile();
  print_heading(training);
  head("kernel", "ms/run");
  for (const model::KernelInfo& info : training.model().kernels()) {
    device::Kernel& kernel = *training.device().kernels().at(info.name);
    const Ports inputs(kernel.inputs(), training.surfaces());
    const Ports outputs(kernel.outputs(), training.surfaces());
    GemmFloor floor(products_of(info.program, info.name), training.threads());
    Samples samples;
    for (Repetitions repetitions(reps); repetitions.again();) {
      samples.add("floor", time_of([&] { static_cast<void>(floor.run()); }));
      samples.add("run", time_of([&] { kernel.run(inputs.all(), outputs.all()); }));
    }
    const double run = samples.milliseconds("run");
    const double products = samples.milliseconds("floor");
    print_row(info.name, run, products, rate(floor.flops(), run));
  }
}

int run(Arguments arguments) {
  const std::int64_t reps = arguments.take_number("--reps", 0);
  const bool kernels_alone = arguments.take_toggle("--kernels");
  const cli::Settings settings = arguments.settings();
  if (kernels_alone) {
    time_kernels(settings, reps);
  } else {
    StepBenchmark(settings, reps).run();
  }
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
