/// Cost of a step with dynamic weights, in turn with one with baked weights; with --lora, cost of a step that trains an
/// adapter, in turn with one that trains the whole model; with --packings, cost of a step with dynamic weights that are
/// packed along the channels, in turn with one with the same along the width.
///
///   bench_weights [--reps N] [ane-train's settings: --config stories110m --threads 2 ...]
///   bench_weights --model DIR --lora 16 --seq 256
///   bench_weights --packings --config stories15m --threads 1
///
/// A repetition is an update: all its steps, of both modes in turn; then both refresh their weights. With one thread,
/// processor time is also meaningful on a machine with other load.
#include <ctime>
#include <string>

#include <fmt/format.h>

#include "bench.h"
#include "table.h"

namespace ane::bench {
namespace {

/// Processor time of all threads of this process.
Duration processor_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

class Side {
 public:
  Side(std::string name, const cli::Settings& settings) : name_(std::move(name)) {
    training_ = std::make_unique<Training>(settings);
    training_->compile();
    static_cast<void>(training_->step());
  }

  void step(Samples& samples) {
    measure(samples, "step", [&] { static_cast<void>(training_->step()); });
  }
  void update(Samples& samples) {
    training_->update();
    measure(samples, "renewal", [&] { training_->compile(); });
    static_cast<void>(training_->spans().take());
    static_cast<void>(training_->device().take_runs());
    static_cast<void>(training_->device().take_compiles());
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Training& training() noexcept { return *training_; }
  [[nodiscard]] std::string key(const std::string& what, const std::string& clock) const {
    return fmt::format("{} {} {}", name_, what, clock);
  }

 private:
  template <class Work>
  void measure(Samples& samples, const std::string& what, Work&& work) {
    const Duration before = processor_time();
    samples.add(key(what, "wall"), time_of(work));
    samples.add(key(what, "processor"), processor_time() - before);
  }

  std::string name_;
  std::unique_ptr<Training> training_;
};

cli::Settings with(cli::Settings settings, cli::WeightsChoice weights, cli::PackingChoice packing) {
  settings.weights = weights;
  settings.packing = packing;
  return settings;
}

int run(Arguments arguments) {
  const std::int64_t reps = arguments.take_number("--reps", 0);
  const bool compares_packings = arguments.take_toggle("--packings");
  const cli::Settings settings = arguments.settings();
  const bool is_adapter = !settings.lora.empty();
  cli::Settings whole = settings;
  whole.lora.clear();
  using enum cli::WeightsChoice;
  using cli::PackingChoice;
  Side base = compares_packings ? Side("width", with(settings, dynamic, PackingChoice::width))
                                : Side(is_adapter ? "whole model" : "baked", with(whole, baked, settings.packing));
  Side other = compares_packings ? Side("channels", with(settings, dynamic, PackingChoice::channels))
                                 : Side(is_adapter ? "adapter" : "dynamic",
                                        with(settings, is_adapter ? baked : dynamic, settings.packing));
  Samples samples;
  for (Repetitions repetitions(reps); repetitions.again();) {
    for (std::int64_t i = 0; i < settings.accum_steps; ++i) {
      base.step(samples);
      other.step(samples);
    }
    base.update(samples);
    other.update(samples);
  }

  print_heading(other.training());
  print_head("weights", other.name(), base.name(), "");
  for (const char* const what : {"step", "renewal"})
    for (const char* const clock : {"wall", "processor"})
      print_row(fmt::format("{}, {}", what, clock), samples.milliseconds(other.key(what, clock)),
                samples.milliseconds(base.key(what, clock)));
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
