#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/data/source.h"
#include "ane/device/budget.h"
#include "ane/model/model.h"
#include "ane/train/checkpoint_writer.h"
#include "ane/train/clock.h"
#include "ane/train/kernel_supply.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/state.h"

namespace ane::train {

/// Why run() came back.
enum class Outcome {
  finished,
  restart_needed,  ///< the compile budget is used up; state is at a whole update, ready for exec
  interrupted      ///< `stop` was set; state is at a whole update, a checkpoint is written if a directory was given
};

/// Divergence that leaves no state worth keeping: parameters that are not finite, or that overflow in validation.
class LostStateError : public DivergedError {
 public:
  using DivergedError::DivergedError;
};

/// The training loop. It reads like the paragraph that describes it: provide kernels with this update's weights if the
/// budget allows, run accum_steps sequences, update.
///
/// Progress and parameters change together, after a whole update, so the state is that of a whole update whenever run()
/// comes back or throws. An interrupted accumulation is dropped; whoever resumes repeats it and ends with the same
/// parameters, bit for bit.
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
    const std::atomic<bool>& stop;       ///< set by a signal handler
    RunLock* checkpoint_lock = nullptr;  ///< on the directory of the checkpoints, if it has one
  };

  /// Throws UsageError if the budget cannot hold even one update, with the smallest value that would do.
  Trainer(Parts parts, TrainOptions options);

  /// Trains until done, out of budget or stopped. Held-out samples are evaluated every validate_every updates, with the
  /// kernels of the next batch (in a pipeline one update behind), and at the end with the newest parameters.
  /// Checkpoints are written, beside the training, after every checkpoint_every updates or checkpoint_minutes, but for
  /// those due while updates are being skipped, at the end, after validation, and when stopped; none is being written
  /// any more when this comes back or throws. One that cannot be written is warned of, and an error only if it is the
  /// last. Throws DivergedError, with the progress back at the last update that was applied, if too many updates were
  /// skipped (give_up_after in a row, or most of the recent ones when the run ends, see loss_scale.h); LostStateError
  /// if an update made something not finite, or the validation at the end overflowed; DeviceError (a compile that
  /// failed on two processes in a row), FileError.
  [[nodiscard]] Outcome run();

 private:
  struct Batch;

  [[nodiscard]] Outcome run_until_done();
  [[nodiscard]] bool done() const noexcept;
  [[nodiscard]] bool validation_due() const;
  [[nodiscard]] bool run_batch();
  [[nodiscard]] bool accumulate(Batch& batch);
  [[nodiscard]] bool run_steps(Batch& batch);
  [[nodiscard]] std::span<data::Sample> samples_for(std::int64_t count);
  void run_side_by_side(std::span<const data::Sample> samples, Batch& batch);
  void drop_gradients() noexcept;
  void finish_update(Batch& batch);
  void report_skip(const std::string& reason);
  [[noreturn]] void give_up(const std::string& what);
  void expect_converging();
  [[nodiscard]] bool validate();
  [[nodiscard]] std::optional<ValidationEvent> evaluate_held_out();
  [[nodiscard]] bool checkpoint_due() const;
  void start_checkpoint(std::launch how = std::launch::async);
  void hold_for_checkpoint();
  void take_checkpoint(const std::optional<CheckpointWriter::Result>& result);
  void finish_checkpoint();
  void write_last_checkpoint();
  void remove_spare_checkpoint();
  void tell_restart();
  void count_surfaces(const surface::PoolCounters& before);

  template <class Event>
  void tell(void (Observer::*hook)(const Event&), const Event& event);

  Parts parts_;
  TrainOptions options_;
  RunClock clock_;
  std::int64_t total_updates_;
  Progress last_good_;  ///< at the last update that was applied
  KernelSupply supply_;
  std::string last_skip_;  ///< why the last update that was skipped in this process was
  std::optional<std::int64_t> validated_update_;
  std::optional<std::string> validation_fault_;  ///< what overflowed in the last validation
  std::optional<CheckpointWriter> checkpoints_;
  std::string checkpoint_failure_;     ///< of the last one
  std::vector<data::Sample> samples_;  ///< as many as run side by side, and what became of them
  std::vector<model::StepResult> results_;
};

}  // namespace ane::train
