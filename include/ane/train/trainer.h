#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/data/source.h"
#include "ane/device/budget.h"
#include "ane/model/model.h"
#include "ane/train/clock.h"
#include "ane/train/observer.h"
#include "ane/train/optimizer.h"
#include "ane/train/options.h"
#include "ane/train/ranks.h"
#include "ane/train/run_checkpoints.h"
#include "ane/train/state.h"
#include "ane/train/text_sampler.h"
#include "ane/train/weight_refresher.h"

namespace ane::train {

/// Why run() returned.
enum class Outcome {
  finished,
  restart_needed,  ///< the compile budget is exhausted; the state is at a whole update, ready for exec
  out_of_time,     ///< max_minutes have passed; otherwise like `interrupted`
  interrupted      ///< `stop` was set; the state is at a whole update, with a checkpoint if a directory was given
};

/// Divergence that leaves no usable state: parameters are not finite, or overflow in validation.
class LostStateError : public DivergedError {
 public:
  using DivergedError::DivergedError;
};

/// The training loop: refresh the kernels' weights if the budget allows, run accum_steps sequences, update.
///
/// On several ranks, each runs its share of the sequences of an update, and all make the same decisions at the same
/// updates; only whether a process restarts is each rank's own. A signal to any of them then stops all after the
/// update.
///
/// Progress and parameters change together, after a whole update, so the state is that of a whole update whenever run()
/// returns or throws. An interrupted accumulation is dropped; a resumed run repeats it and ends with bit-identical
/// parameters.
class Trainer {
 public:
  struct Parts {
    model::Model& model;
    const data::Source& source;
    surface::SurfacePool& surfaces;
    math::ThreadPool& threads;
    device::CompileBudget& budget;
    StateArena& state;
    std::vector<Observer*> observers;
    const std::atomic<bool>& stop;                        ///< set by a signal handler
    RunLock* checkpoint_lock = nullptr;                   ///< lock on the checkpoint directory, if any
    TextSampler* sampler = nullptr;                       ///< needed by the first rank if samples are requested
    std::function<std::int64_t()> clock = since_boot_ns;  ///< for max_minutes
    Ranks* ranks = nullptr;                               ///< null for a run in a single process
  };

  /// Throws UsageError with the smallest sufficient value if the budget does not suffice for one update.
  Trainer(Parts parts, TrainOptions options);

  /// Trains until done, out of budget, out of time or stopped.
  ///
  /// The time is checked before each batch, so a run ends with the first batch that is complete after max_minutes. They
  /// count from the start of the first process.
  ///
  /// Held-out samples are evaluated every validate_every updates with the kernels of the next batch (in a pipeline
  /// stale by one update), and at the end with the newest parameters; so is the sampler, every sample_every updates.
  /// Neither changes anything that training depends on. Checkpoints are written concurrently with
  /// training after every checkpoint_every updates or checkpoint_minutes, except while updates are being skipped, and
  /// at the end after validation, and when stopped or out of time, and, with keep_best, when a validation improves on
  /// all before; no write is in progress when this returns or throws. A checkpoint that cannot be written is a warning,
  /// or an error if it is the last.
  ///
  /// Throws DivergedError, with the progress reset to the last applied update, if too many updates were skipped
  /// (give_up_after in a row, or most of the recent ones when the run ends, see loss_scale.h); LostStateError if an
  /// update produced non-finite values or the final validation overflowed; DeviceError (a compile that failed in two
  /// processes in a row), FileError.
  [[nodiscard]] Outcome run();

 private:
  struct Batch;

  [[nodiscard]] Outcome run_until_done();
  [[nodiscard]] bool done() const noexcept;
  [[nodiscard]] bool out_of_time() const;
  [[nodiscard]] bool deadline_passed() const;
  [[nodiscard]] bool validation_due() const;
  [[nodiscard]] bool text_sample_due() const;
  [[nodiscard]] bool is_alone() const noexcept { return parts_.ranks == nullptr; }
  [[nodiscard]] bool is_first_rank() const noexcept { return is_alone() || parts_.ranks->is_first(); }
  /// Whether to end the run: what all ranks have agreed on.
  [[nodiscard]] const std::atomic<bool>& stop() const noexcept { return is_alone() ? parts_.stop : agreed_stop_; }
  [[nodiscard]] bool run_batch();
  [[nodiscard]] bool accumulate(Batch& batch);
  [[nodiscard]] std::span<data::Sample> samples_for(std::int64_t count);
  void run_slots(std::span<const data::Sample> samples, Batch& batch);
  [[nodiscard]] double training_share(Duration time, std::int64_t count);
  void drop(const Batch& batch) noexcept;
  void drop_gradients() noexcept;
  void exchange_gradients();
  [[nodiscard]] std::optional<std::string> end_update_together(const std::optional<std::string>& not_finite,
                                                               UpdateEvent& event);
  [[nodiscard]] BatchStatus combined_status(const Batch& batch);
  [[nodiscard]] std::optional<std::string> apply(const UpdateStep& step);
  void finish_update(Batch& batch);
  void warn(const std::string& text);
  void report_skip(const std::string& reason);
  [[noreturn]] void give_up(const std::string& what);
  void expect_converging();
  [[nodiscard]] bool validate();
  [[nodiscard]] std::optional<ValidationEvent> evaluate_held_out();
  [[nodiscard]] bool sample_text();
  [[nodiscard]] bool is_best(double loss);
  void notify_restart();
  void count_surfaces(const surface::PoolCounters& before);

  template <class Event>
  void notify(void (Observer::*hook)(const Event&), const Event& event);

  Parts parts_;
  TrainOptions options_;
  RunClock clock_;
  std::int64_t total_updates_;
  Progress last_good_;  ///< at the last applied update
  WeightRefresher refresher_;
  Optimizer optimizer_;
  RunCheckpoints checkpoints_;
  bool is_first_group_ = true;  ///< the next steps are the first of this process
  std::string last_skip_;       ///< reason of the last skipped update in this process
  std::optional<std::int64_t> validated_update_;
  std::optional<std::int64_t> text_sample_update_;
  std::optional<std::string> validation_fault_;  ///< tensor that overflowed in the last validation
  std::vector<data::Sample> samples_;            ///< one per batch slot, with their results
  std::vector<model::StepResult> results_;
  std::vector<Piece> pieces_;  ///< all tensors, for a run in a single process
  struct BeforeBatch {
    std::size_t sent_bytes = 0;  ///< to other ranks
    std::int64_t train_ns = 0;
    std::int64_t exchange_ns = 0;
  };
  BeforeBatch before_batch_;  ///< totals on several ranks
  Duration arrival_{};        ///< UpdateEnd::arrival of the current batch
  std::atomic<bool> agreed_stop_{false};
  bool agreed_end_of_time_ = false;
  bool agreed_checkpoint_ = false;  ///< whether the first rank's clock asks for a checkpoint of the current update
};

}  // namespace ane::train
