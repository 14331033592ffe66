#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <span>

#include "ane/device/budget.h"
#include "ane/device/device.h"
#include "ane/math/threads.h"
#include "ane/model/kernels.h"
#include "ane/train/clock.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/state.h"

namespace ane::train {

/// The minimum compile budget of a process: one compile round of training kernels in a fresh model, and with a pipeline
/// a second one.
[[nodiscard]] int smallest_budget(const model::Kernels& kernels, RefreshMode refresh_mode);

/// Refreshes the weights of the model's kernels for the next batch, within the compile budget of this process. In a
/// pipeline these are the state's running parameters, one update behind the newest: while a batch runs, the kernels of
/// the next batch are compiled on another thread.
class WeightRefresher {
 public:
  struct Parts {
    model::Kernels& kernels;
    device::CompileBudget& budget;
    StateArena& state;
    math::ThreadPool& threads;
    RunClock& clock;
    std::span<Observer* const> observers;
  };

  WeightRefresher(const Parts& parts, RefreshMode refresh_mode);
  WeightRefresher(const WeightRefresher&) = delete;
  WeightRefresher& operator=(const WeightRefresher&) = delete;
  /// Waits for a compile in progress.
  ~WeightRefresher() = default;

  /// Loads the running parameters into the kernels, or the newest ones for PassMode::forward. Returns false if the
  /// budget is exhausted, if a compile failed that may succeed in a fresh process, or if it was stopped. The second
  /// such failure in a row is thrown.
  [[nodiscard]] bool refresh(model::PassMode mode);
  /// In a pipeline: starts compiling the newest parameters for the batch after the current one, unless the kernels hold
  /// them already or the budget is too small.
  void compile_next();
  /// Must be called before an update: in a pipeline the next batch runs with the current parameters.
  void before_update();
  /// Must be called after an update has changed the parameters.
  void parameters_changed() noexcept;
  /// Waits for a compile in progress; the process must not be replaced during one.
  void wait();

  /// The parameters that the kernels hold.
  [[nodiscard]] std::span<const float> parameters() const noexcept;
  /// Number of updates between these and the newest.
  [[nodiscard]] std::int64_t updates_behind() const noexcept { return held_ ? newest_ - held_->version : 0; }
  /// Time that training waited for kernels in the last refresh().
  [[nodiscard]] Duration time() const noexcept { return time_; }
  /// Additional time for writing weights to kernels that take them as input.
  [[nodiscard]] Duration weights_time() const noexcept { return weights_time_; }

 private:
  struct Held {
    model::PassMode mode;
    std::int64_t version;
  };
  /// What a compile round took.
  struct Round {
    Duration time;
    int by_workers;  ///< kernels that other processes compiled
  };
  struct Ahead {
    std::int64_t version;
    int kernels;
    std::future<Round> round;
  };

  [[nodiscard]] bool holds(model::PassMode mode, std::int64_t version) const noexcept;
  [[nodiscard]] bool adopt();
  [[nodiscard]] bool compile_or_load(model::PassMode mode, std::int64_t version);
  [[nodiscard]] bool compile(model::PassMode mode, int kernels, std::span<const float> parameters);
  [[nodiscard]] bool retry_in_fresh_process(const device::CompileError& error);
  void count_round(model::PassMode mode, int kernels, int by_workers);

  template <class Event>
  void notify(void (Observer::*hook)(const Event&), const Event& event) const;

  Parts parts_;
  RefreshMode refresh_mode_;
  // Parameter versions: number of changes in this process.
  std::int64_t newest_ = 1;
  std::int64_t running_ = 1;
  std::optional<Held> held_;
  Duration time_{};
  Duration weights_time_{};
  Duration waited_{};           ///< for `ahead_`
  std::optional<Ahead> ahead_;  // destroyed first, because it uses the model and the state
};

}  // namespace ane::train
