#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <span>

#include "ane/device/budget.h"
#include "ane/device/device.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/train/clock.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/state.h"

namespace ane::train {

/// The budget that a process needs at least: one round of training kernels in a model that has compiled none yet, and
/// with a pipeline a second one beside it.
[[nodiscard]] int smallest_budget(const model::Model& model, Renewal renewal);

/// Sees to it that the model's kernels hold the parameters that the next batch runs with, within the compiles that this
/// process may make. In a pipeline those are the state's running parameters, one update behind the newest: while a
/// batch runs, the kernels of the one after it are compiled on another thread.
class KernelSupply {
 public:
  struct Parts {
    model::Model& model;
    device::CompileBudget& budget;
    StateArena& state;
    math::ThreadPool& threads;
    RunClock& clock;
    std::span<Observer* const> observers;
  };

  KernelSupply(const Parts& parts, Renewal renewal);
  KernelSupply(const KernelSupply&) = delete;
  KernelSupply& operator=(const KernelSupply&) = delete;
  /// Waits for a compile in flight.
  ~KernelSupply() = default;

  /// Makes the kernels hold the running parameters, or the newest for KernelSet::forward. False if the budget is used
  /// up, or if a compile failed that a fresh process may manage. Throws what the second such failure in a row throws.
  [[nodiscard]] bool provide(model::KernelSet set);
  /// In a pipeline: begins to compile the newest parameters, for the batch after the one that runs now, unless the
  /// kernels hold them or the budget is too small.
  void begin_next();
  /// To be called before an update: in a pipeline the next batch runs with what the parameters are now.
  void before_update();
  /// The update has changed the parameters.
  void parameters_changed() noexcept;
  /// Waits for a compile in flight, which no process may be replaced under.
  void wait();

  /// Those that the kernels hold.
  [[nodiscard]] std::span<const float> parameters() const noexcept;
  /// Updates between these and the newest.
  [[nodiscard]] std::int64_t updates_behind() const noexcept { return held_ ? newest_ - held_->version : 0; }
  /// What training waited for the kernels that provide() gave it last.
  [[nodiscard]] Duration time() const noexcept { return time_; }
  /// What handing them weights took, beside that, if they take those as input.
  [[nodiscard]] Duration weights_time() const noexcept { return weights_time_; }

 private:
  struct Held {
    model::KernelSet set;
    std::int64_t version;
  };
  struct Ahead {
    std::int64_t version;
    int kernels;
    std::future<Duration> time;
  };

  [[nodiscard]] bool holds(model::KernelSet set, std::int64_t version) const noexcept;
  [[nodiscard]] bool adopt();
  [[nodiscard]] bool compile_or_load(model::KernelSet set, std::int64_t version);
  [[nodiscard]] bool compile(model::KernelSet set, int kernels, std::span<const float> parameters);
  [[nodiscard]] bool retry_in_fresh_process(const device::CompileError& error);
  void count_round(model::KernelSet set, int kernels);

  template <class Event>
  void tell(void (Observer::*hook)(const Event&), const Event& event) const;

  Parts parts_;
  Renewal renewal_;
  // Parameters by the number of changes that this process has seen.
  std::int64_t newest_ = 1;
  std::int64_t running_ = 1;
  std::optional<Held> held_;
  Duration time_{};
  Duration weights_time_{};
  Duration waited_{};           ///< for `ahead_`
  std::optional<Ahead> ahead_;  // goes first, for it uses the model and the state
};

}  // namespace ane::train
