/// Cost of a training step beyond its matrix products.
///
///   bench_step [--reps N] [--kernels] [ane-train's settings: --config stories110m --threads 2 ...]
///
/// Steps and their GEMM bound (floor.h) run in turn, so that both see the same machine state; all figures are the best
/// of several. In between, the program checks whether threads share a processor core (cores.h), and says so.
/// --kernels: each kernel alone, in turn with its own products.
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/half.h"
#include "ane/mil/text.h"

#include "bench.h"
#include "cores.h"
#include "floor.h"
#include "step_products.h"
#include "table.h"

namespace ane::bench {
namespace {

std::string rate(double flops, double milliseconds) {
  return milliseconds == 0 ? std::string() : fmt::format("{:.0f}", flops / milliseconds * 1e-6);
}

void head(const std::string& name, const std::string& time) { print_head(name, time, "GEMM bound", "GFLOP/s"); }

class StepBenchmark {
 public:
  StepBenchmark(const cli::Settings& settings, std::int64_t reps)
      : products_(step_products(settings)), training_(settings), reps_(reps) {}

  void run() {
    warm_up();
    GemmFloor floor(products_, training_.threads());
    static_cast<void>(floor.run());
    CoreChecks cores(training_.threads());
    for (Repetitions repetitions(reps_); repetitions.again();) {
      cores.check_each_second();
      time_floor(floor);
      time_step();
      times_.add("update", time_of([&] { training_.update(); }));
      times_.add("compile", time_of([&] { training_.compile(); }));
      static_cast<void>(training_.device().take_compiles());
    }
    cores.check();
    print_heading(training_);
    fmt::print("{}\n\n", cores.summary());
    print_step(floor.flops());
    print_parts();
    print_kernels();
  }

 private:
  void warm_up() {
    training_.compile();
    static_cast<void>(training_.step());
    training_.update();
    training_.compile();
    static_cast<void>(training_.device().take_compiles());
  }

  void time_floor(GemmFloor& floor) {
    const std::vector<Duration> times = floor.run();
    Sums sums;
    for (std::size_t i = 0; i < times.size(); ++i) {
      sums.add("step", times[i]);
      sums.add(products_[i].part, times[i]);
      if (is_of_kernel(products_[i])) sums.add("ane", times[i]);
    }
    sums.give(floors_);
  }

  void time_step() {
    const auto at_once = static_cast<std::int64_t>(training_.model().batch_slots());
    model::StepTimes parts;
    times_.add("step", time_of([&] { parts = training_.step(training_.model().batch_slots()); }) / at_once);
    parts /= at_once;
    Sums sums;
    sums.add("ane", parts.ane);
    sums.add("io", parts.io);
    sums.add("cls", parts.classifier);
    sums.add("elem", parts.elementwise);
    sums.add("rms", parts.rms_norm);
    sums.add("blas_wait", parts.blas_wait);
    for (const Call& run : training_.device().take_runs()) sums.add(run.kernel, run.time / (at_once * at_once));
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
    double flops = 0;
    for (const Product& product : products_)
      if (product.part == floor_part || (floor_part == "ane" && is_of_kernel(product))) flops += product.flops();
    print_row(name, time, floor, floor == 0 ? "" : rate(flops, time));
  }

  [[nodiscard]] static bool is_of_kernel(const Product& product) {
    return product.part != kClassifier && product.part != kWeightGradients;
  }

  void print_kernels() {
    fmt::print("\n");
    head("kernel", "ms/step");
    for (const model::KernelInfo& kernel : training_.model().kernels().infos())
      print_part(kernel.name, kernel.name, kernel.name);
  }

  std::vector<Product> products_;
  Training training_;
  std::int64_t reps_;
  Samples times_;
  Samples floors_;
};

/// Surfaces for a kernel's ports, filled with values of ordinary size.
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
  const std::vector<Product> products = step_products(settings);
  Training training(settings);
  training.compile();
  print_heading(training);
  CoreChecks cores(training.threads());
  head("kernel", "ms/run");
  for (const model::KernelInfo& info : training.model().kernels().infos()) {
    device::Kernel& kernel = *training.device().kernels().at(info.name);
    const Ports inputs(kernel.inputs(), training.surfaces());
    const Ports outputs(kernel.outputs(), training.surfaces());
    std::vector<Product> own;
    std::ranges::copy_if(products, std::back_inserter(own),
                         [&](const Product& product) { return product.part == info.name && product.run == 0; });
    GemmFloor floor(std::move(own), training.threads());
    Samples samples;
    for (Repetitions repetitions(reps); repetitions.again();) {
      cores.check_each_second();
      samples.add("floor", time_of([&] { static_cast<void>(floor.run()); }));
      samples.add("run", time_of([&] { kernel.run(inputs.all(), outputs.all()); }));
    }
    const double run = samples.milliseconds("run");
    const double bound = samples.milliseconds("floor");
    print_row(info.name, run, bound, rate(floor.flops(), run));
  }
  cores.check();
  fmt::print("\n{}\n", cores.summary());
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
