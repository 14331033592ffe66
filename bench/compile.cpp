/// Cost of compiling: each kernel in a process's first compile round, and with new weights as after every update; and a
/// whole compile round against one step.
///
///   bench_compile [--reps N] [ane-train's settings: --config stories110m --threads 2 ...]
///
/// The bound of new weights is moving them: fp32 parameters to an fp16 blob, and that to the device's format (fp32 on
/// the host): 12 bytes per weight.
#include <map>
#include <string>

#include <fmt/format.h>

#include "bench.h"
#include "copy_bound.h"
#include "table.h"

namespace ane::bench {
namespace {

constexpr double kBytesAWeight = 12;
constexpr std::size_t kBytesABlobWeight = 2;
std::string span_of(const std::string& kernel) { return "compile " + kernel; }  // the model's span name

int run(Arguments arguments) {
  const std::int64_t reps = arguments.take_number("--reps", 0);
  Training training(arguments.settings());
  training.compile();
  const SpanLog::Sums first = training.spans().take();

  std::map<std::string, CopyBound> bounds;
  double weights = 0;
  for (const model::KernelInfo& kernel : training.model().kernels().infos()) {
    const double copy = static_cast<double>(kernel.weight_bytes) / kBytesABlobWeight;
    bounds.emplace(kernel.name, CopyBound(kBytesAWeight * copy, training.threads()));
    weights += copy * kernel.recompiled;
  }
  CopyBound round_bound(kBytesAWeight * weights, training.threads());

  Samples times;
  Samples bound_times;
  for (Repetitions repetitions(reps); repetitions.again();) {
    const auto at_once = static_cast<std::int64_t>(training.model().batch_slots());
    times.add("step", time_of([&] { training.step(training.model().batch_slots()); }) / at_once);
    training.update();
    static_cast<void>(training.spans().take());
    times.add("round", time_of([&] { training.compile(); }));
    for (const auto& [name, sum] : training.spans().take()) times.add(name, sum.time / sum.count);
    bound_times.add("round", time_of([&] { round_bound.run(); }));
    for (auto& entry : bounds) bound_times.add(entry.first, time_of([&] { entry.second.run(); }));
    static_cast<void>(training.device().take_runs());
    static_cast<void>(training.device().take_compiles());
  }

  print_heading(training);
  print_head("compile", "new weights", "moving", "first ms");
  for (const model::KernelInfo& kernel : training.model().kernels().infos()) {
    const auto made = first.find(span_of(kernel.name));
    const std::string in_first_round = fmt::format("{:.3f}", milliseconds(made->second.time / made->second.count));
    print_row(kernel.name, times.milliseconds(span_of(kernel.name)), bound_times.milliseconds(kernel.name),
              in_first_round);
  }
  print_row("whole round", times.milliseconds("round"), bound_times.milliseconds("round"));
  print_row("one step", times.milliseconds("step"), 0);
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
