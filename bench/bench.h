#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ane/app/compose.h"
#include "ane/cli/settings.h"
#include "ane/data/source.h"
#include "ane/device/budget.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/surface/pool.h"
#include "ane/train/optimizer.h"
#include "ane/train/options.h"
#include "ane/train/state.h"
#include "ane/train/trainer.h"

#include "span_log.h"
#include "timing_device.h"

namespace ane::bench {

/// The arguments of a benchmark: its own flags, and all of ane-train's settings.
class Arguments {
 public:
  Arguments(int argc, char** argv);
  /// Removes one of this program's own flags and returns its value: `--reps 5` or `--reps=5`.
  [[nodiscard]] std::optional<std::string> take(std::string_view flag);
  [[nodiscard]] std::int64_t take_number(std::string_view flag, std::int64_t otherwise);
  [[nodiscard]] bool take_toggle(std::string_view flag);
  /// Settings from the remaining arguments. The device is the host unless another is requested. Throws UsageError.
  [[nodiscard]] cli::Settings settings() const;

 private:
  std::vector<std::string> words_;
};

/// A training run whose kernels and spans are timed, one call at a time.
class Training {
 public:
  /// On the device of the settings or, with one batch slot, on the given one.
  explicit Training(const cli::Settings& settings, std::unique_ptr<device::Device> device = nullptr);

  /// Refreshes the kernels' weights, by a compile round or through their input.
  void compile();
  /// Forward and backward of the next samples, one per batch slot; throws Error if something overflows.
  model::StepTimes step(std::size_t samples = 1);
  /// The trainer's update after an accumulation.
  void update();

  /// For the training loop itself.
  [[nodiscard]] train::Trainer::Parts parts(device::CompileBudget& budget, std::vector<train::Observer*> observers,
                                            const std::atomic<bool>& stop);
  [[nodiscard]] const train::TrainOptions& options() const noexcept { return options_; }
  [[nodiscard]] train::StateArena& state() noexcept { return *state_; }

  [[nodiscard]] const cli::Settings& settings() const noexcept { return context_.settings; }
  [[nodiscard]] SpanLog& spans() noexcept { return spans_; }
  [[nodiscard]] TimingDevice& device() noexcept { return *device_; }
  [[nodiscard]] math::ThreadPool& threads() noexcept { return *context_.threads; }
  [[nodiscard]] surface::SurfacePool& surfaces() noexcept { return *context_.surfaces; }
  [[nodiscard]] model::Model& model() noexcept { return *context_.model; }

 private:
  app::RunContext make_context(cli::Settings settings, std::unique_ptr<device::Device> device);

  SpanLog spans_;
  TimingDevice* device_ = nullptr;  ///< of the context
  app::RunContext context_;
  train::TrainOptions options_;
  std::unique_ptr<data::Source> source_;
  std::unique_ptr<train::StateArena> state_;
  train::Optimizer optimizer_;
  std::vector<data::Sample> samples_;
  std::vector<model::StepResult> results_;
  std::uint64_t steps_ = 0;
};

/// main of every benchmark: prints errors and turns them into an exit code.
int run_main(int argc, char** argv, int (*run)(Arguments));

}  // namespace ane::bench
