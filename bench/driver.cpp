/// Cost of the driver itself per step, on a device that returns immediately: each part against its bound, which is
/// moving its memory with the same threads, or its matrix products.
///
///   bench_driver [--reps N] [ane-train's settings: --config stories110m --threads 2 ...]
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/types.h"

#include "bench.h"
#include "copy_bound.h"
#include "floor.h"
#include "instant_device.h"
#include "table.h"

namespace ane::bench {
namespace {

/// Bytes that a part reads and writes in a step. Every call has its own memory, so it is not in cache from the previous
/// call.
struct Traffic {
  std::string part;
  double bytes = 0;
};

double bytes(std::size_t count) { return static_cast<double>(count) * sizeof(float); }

/// Surfaces are fp16, everything else fp32. A surface's bytes are moved once before and once after a kernel, including
/// residual sums.
std::vector<Traffic> step_traffic(Training& training, const std::vector<Call>& runs) {
  const cli::Settings& settings = training.settings();
  const auto seq = static_cast<std::size_t>(settings.seq);
  const double wide = bytes(static_cast<std::size_t>(settings.dim) * seq);
  const double logits = bytes(static_cast<std::size_t>(settings.vocab) * seq);
  const auto norms = static_cast<double>(2 * settings.layers + 1);
  double in = 0;
  double out = 0;
  std::map<std::string, mil::Function> functions;
  for (const model::KernelInfo& kernel : training.model().kernels().infos())
    functions.emplace(kernel.name, kernel.program.main());
  for (const Call& run : runs) {
    const mil::Function& function = functions.at(run.kernel);
    for (const mil::ValueId id : function.inputs)
      in += static_cast<double>(mil::surface_layout(function.value(id).type).size_bytes);
    for (const mil::ValueId id : function.outputs)
      out += static_cast<double>(mil::surface_layout(function.value(id).type).size_bytes);
  }
  return {{"surfaces", 2 * (in + out)}, {"RMSNorm", 2 * wide * norms},    {"RMSNorm backward", 4 * wide * norms},
          {"embedding", 2 * wide},      {"embedding backward", 3 * wide}, {"loss", 2 * logits}};
}

class DriverBenchmark {
 public:
  DriverBenchmark(const cli::Settings& settings, std::int64_t reps)
      : training_(settings, std::make_unique<InstantDevice>()), reps_(reps) {}

  void run() {
    training_.compile();
    training_.step();
    const std::vector<Call> runs = training_.device().take_runs();
    const std::vector<Traffic> traffic = step_traffic(training_, runs);
    std::vector<CopyBound> copies;
    copies.reserve(traffic.size());
    for (const Traffic& part : traffic) copies.emplace_back(part.bytes, training_.threads());
    CpuProducts products = cpu_products(training_.model().parameters(), training_.model().parameters(),
                                        static_cast<std::size_t>(training_.settings().seq));
    products.weight_gradients.push_back(std::move(products.classifier.back()));  // belongs to the same span
    products.classifier.pop_back();
    GemmFloor classifier(std::move(products.classifier), training_.threads());
    GemmFloor gradients(std::move(products.weight_gradients), training_.threads());
    const double parameters = bytes(training_.model().parameters().size());
    constexpr double kUpdateArrays = 9;  // the norm reads gradients; AdamW reads and writes all four
    CopyBound update(kUpdateArrays * parameters, training_.threads());

    static_cast<void>(training_.spans().take());
    for (Repetitions repetitions(reps_); repetitions.again();) {
      times_.add("step", time_of([&] { training_.step(); }));
      for (const auto& [name, sum] : training_.spans().take()) times_.add(name, sum.time);
      Sums kernels;
      for (const Call& call : training_.device().take_runs()) kernels.add("kernels", call.time);
      kernels.give(times_);
      times_.add("update", time_of([&] { training_.update(); }));
      for (std::size_t i = 0; i < traffic.size(); ++i) bounds_.add(traffic[i].part, time_of([&] { copies[i].run(); }));
      bounds_.add("classifier", time_of([&] { static_cast<void>(classifier.run()); }));
      bounds_.add("weight gradient", time_of([&] { static_cast<void>(gradients.run()); }));
      bounds_.add("update", time_of([&] { update.run(); }));
    }
    print();
  }

 private:
  void print() {
    print_heading(training_);
    print_head("part of the driver", "ms/step", "bound", "");
    double parts = 0;
    const auto part = [&](const std::string& name, const std::vector<std::string>& spans) {
      double time = 0;
      for (const std::string& span : spans) time += times_.milliseconds(span);
      parts += time;
      print_row(name, time, bounds_.milliseconds(name));
    };
    part("surfaces", {"write surface", "read surface", "copy surface", "check surface"});
    for (const char* const name : {"RMSNorm", "RMSNorm backward", "embedding", "embedding backward", "loss"})
      part(name, {name});
    part("classifier", {"classifier", "classifier backward"});
    part("weight gradient", {"weight gradient"});
    const double step = times_.milliseconds("step") - times_.milliseconds("kernels");
    print_row("the rest", step - parts, 0);
    print_row("a step without kernels", step, 0);
    print_row("one update", times_.milliseconds("update"), bounds_.milliseconds("update"));
  }

  Training training_;
  std::int64_t reps_;
  Samples times_;
  Samples bounds_;
};

int run(Arguments arguments) {
  const std::int64_t reps = arguments.take_number("--reps", 0);
  DriverBenchmark(arguments.settings(), reps).run();
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
