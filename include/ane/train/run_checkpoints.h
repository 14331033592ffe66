#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <span>
#include <string>

#include "ane/data/source.h"
#include "ane/model/model.h"
#include "ane/train/checkpoint_writer.h"
#include "ane/train/clock.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/ranks.h"
#include "ane/train/run_lock.h"
#include "ane/train/state.h"

namespace ane::train {

/// The checkpoints that a run writes while it trains, and their place in its totals. On several ranks, the first one
/// writes, and all must call the same functions; without a checkpoint directory, every function does nothing.
class RunCheckpoints {
 public:
  struct Parts {
    const model::Model& model;
    const data::Source& source;
    StateArena& state;
    RunClock& clock;
    std::span<Observer* const> observers;
    Ranks* ranks;   ///< null for a run in a single process
    RunLock* lock;  ///< on the checkpoint directory, if any
  };

  /// `options` must outlive the object.
  RunCheckpoints(const Parts& parts, const TrainOptions& options);

  /// Whether checkpoint_minutes have passed since the last checkpoint.
  [[nodiscard]] bool minutes_have_passed() const;
  /// Whether the update that has just ended asks for a checkpoint. `minutes`: whether minutes_have_passed(), according
  /// to the first rank.
  [[nodiscard]] bool is_due(bool minutes) const;
  /// Begins to write the current state, after waiting for the previous write.
  void start();
  /// The same unless there is a checkpoint of this state, which has the lowest validation loss so far. Which one is the
  /// best is recorded in all later checkpoints.
  void keep_best();
  /// Waits until the state may change. Must be called before it does.
  void hold();
  /// Reports the write in progress if it has ended: poll() does not wait for that.
  void poll();
  void finish();
  /// Writes the final state unless there is a checkpoint of it. A failure is retried once; the second is a FileError.
  void write_last();
  /// Removes the checkpoint that was kept in case the newest turned out to be unusable.
  void remove_spare();

 private:
  void start(std::launch how);
  void take(const std::optional<CheckpointWriter::Result>& result);
  [[nodiscard]] bool is_first_rank() const noexcept { return parts_.ranks == nullptr || parts_.ranks->is_first(); }
  [[nodiscard]] bool decided_by_first(bool own) const;
  template <class Event>
  void notify(void (Observer::*hook)(const Event&), const Event& event) const;

  Parts parts_;
  const TrainOptions& options_;
  std::optional<CheckpointWriter> writer_;    ///< of the first rank
  std::optional<std::int64_t> saved_update_;  ///< of the checkpoint that this process wrote or began last
  std::string failure_;                       ///< reason of the last one
};

}  // namespace ane::train
