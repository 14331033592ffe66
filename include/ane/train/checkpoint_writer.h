#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>
#include <string>

#include "ane/model/parameters.h"
#include "ane/train/checkpoint.h"
#include "ane/train/observer.h"
#include "ane/train/run_lock.h"
#include "ane/train/state.h"

namespace ane::train {

/// Writes checkpoints on a low-priority thread while training continues. The state is not copied: the thread reads the
/// arrays themselves, which change only at an update, and wait_until_copied() delays the update until the system has
/// accepted all of them. One checkpoint is written at a time.
class CheckpointWriter {
 public:
  struct Result {
    CheckpointEvent event{};
    std::optional<std::string> failure{};  ///< why it was not written
    std::optional<std::string> warning{};  ///< written, but older ones could not be removed
  };

  /// `retention`: the checkpoints that stay in `directory`; others are removed after a new one is durable. `lock`: the
  /// lock on `directory`, if any, which must not be used while a checkpoint is written.
  CheckpointWriter(std::filesystem::path directory, Retention retention, const model::ParameterLayout& layout,
                   StateArena& state, RunLock* lock = nullptr);
  ~CheckpointWriter();  ///< waits for a write in progress
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Starts writing the current state. With std::launch::deferred, wait() writes it, which needs no memory for a
  /// thread. The previous result must have been taken by poll() or wait(). With `whole_slots`, it is written before
  /// this returns, because all ranks take part.
  void start(const CheckpointIdentity& identity, std::launch how = std::launch::async,
             WholeSlots* whole_slots = nullptr);
  [[nodiscard]] bool busy() const noexcept { return result_.valid(); }
  /// After this returns, the arrays may change.
  void wait_until_copied();
  /// Returns the result of the last start() once: poll() only if it is ready, wait() after waiting for it. nullopt if
  /// nothing was started.
  [[nodiscard]] std::optional<Result> poll();
  [[nodiscard]] std::optional<Result> wait();

 private:
  [[nodiscard]] Result write(const TrainerRecord& record, const CheckpointIdentity& identity,
                             std::promise<void>& copied, WholeSlots* whole_slots) const;

  std::filesystem::path directory_;
  Retention retention_;
  const model::ParameterLayout* layout_;
  StateArena* state_;
  RunLock* lock_;
  std::future<Result> result_;
  std::future<void> copied_;
};

}  // namespace ane::train
