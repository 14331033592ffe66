#pragma once

#include <filesystem>

#include "ane/core/descriptor.h"

namespace ane::train {

/// One run a checkpoint directory: a lock on its file `.lock`, which has the holder's process number in it. The system
/// drops it when the process ends, however it ends, and keeps it over exec as long as the descriptor stays open.
class RunLock {
 public:
  /// Makes `directory` if it is missing. Throws UsageError naming the process that has the lock, and FileError if there
  /// can be none.
  explicit RunLock(const std::filesystem::path& directory);
  /// What the process before held in `descriptor`.
  explicit RunLock(int descriptor) noexcept;

  /// For the hand-off; stays owned by the lock, and closes on exec.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

 private:
  Descriptor file_;
};

}  // namespace ane::train
