/// ane-train's training loop, one update at a time, for scripts/compare_torch.py, which runs it in turn with PyTorch.
///
///   bench_turns --write-weights FILE [ane-train's settings: --config stories110m --data TOKENS.bin --threads 2 ...]
///
/// Writes the initial weights to FILE. Then repeatedly reads a line, trains one update and writes a line of JSON, until
/// its input ends.
#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/device/budget.h"
#include "ane/model/weight_files.h"
#include "ane/train/trainer.h"

#include "bench.h"

namespace ane::bench {
namespace {

constexpr int kEndlessBudget = 1 << 30;
constexpr std::int64_t kEndlessSteps = std::int64_t{1} << 40;

class Turns final : public train::Observer {
 public:
  void wait() {
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) over_ = true;
  }
  void on_update(const train::UpdateEvent& event) override {
    if (event.skipped) throw Error(fmt::format("an update was skipped: {}", *event.skipped));
    fmt::print(R"({{"steps": {}, "loss": {:.6f}, "ms": {:.4f}, "compile_ms": {:.4f}}})"
               "\n",
               event.steps_in_batch, event.mean_loss, milliseconds(event.train + event.compile),
               milliseconds(event.compile));
    wait();
  }
  [[nodiscard]] const std::atomic<bool>& over() const noexcept { return over_; }

 private:
  std::atomic<bool> over_{false};
};

int run(Arguments arguments) {
  const std::optional<std::string> weights = arguments.take("--write-weights");
  cli::Settings settings = arguments.settings();
  settings.steps = kEndlessSteps;
  Training training(settings);
  if (weights) model::write_safetensors(*weights, training.model().parameters(), training.state().parameters(), {});
  device::CompileBudget budget(kEndlessBudget);
  Turns turns;
  train::Trainer trainer(training.parts(budget, {&turns}, turns.over()), training.options());
  fmt::print("{}\n", training.device().description());
  turns.wait();
  static_cast<void>(trainer.run());
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
