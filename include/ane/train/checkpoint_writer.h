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

/// Writes checkpoints in a thread of low priority while training goes on. There is no copy of the state: the thread
/// reads the arrays themselves, which change only at an update, and wait_until_copied() holds that back until the
/// system has taken all of them. One checkpoint is written at a time.
class CheckpointWriter {
 public:
  struct Result {
    std::int64_t update = 0;
    CheckpointEvent event{};
    std::optional<std::string> failure{};  ///< why it was not written
    std::optional<std::string> warning{};  ///< it was written, but older ones could not be removed
  };

  /// `keep`: how many checkpoints stay in `directory`; older ones are removed once a new one is durable. `lock`: on
  /// `directory`, if it has one, which nobody else uses while a checkpoint is written.
  CheckpointWriter(std::filesystem::path directory, std::int64_t keep, const model::ParameterLayout& layout,
                   StateArena& state, RunLock* lock = nullptr);
  ~CheckpointWriter();  ///< waits
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Begins to write what the state is now; deferred, it is written by wait(), which needs no memory for a thread. The
  /// one before must have been taken by poll() or wait().
  void start(const CheckpointIdentity& identity, std::launch how = std::launch::async);
  [[nodiscard]] bool busy() const noexcept { return result_.valid(); }
  /// Afterwards the arrays may change.
  void wait_until_copied();
  /// The result of what was started, once: if there is one already, or after waiting for it. Nothing if nothing was.
  [[nodiscard]] std::optional<Result> poll();
  [[nodiscard]] std::optional<Result> wait();

 private:
  [[nodiscard]] Result write(const TrainerRecord& record, const CheckpointIdentity& identity,
                             std::promise<void>& copied) const;

  std::filesystem::path directory_;
  std::int64_t keep_;
  const model::ParameterLayout* layout_;
  StateArena* state_;
  RunLock* lock_;
  std::future<Result> result_;
  std::future<void> copied_;
};

}  // namespace ane::train
