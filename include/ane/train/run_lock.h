#pragma once

#include <filesystem>

#include "ane/core/descriptor.h"

namespace ane::train {

/// One run a checkpoint directory: a lock on its file `.lock`, which has the holder's process number in it. The system
/// drops it when the process ends, however it ends, and keeps it over exec as long as the descriptor stays open.
class RunLock {
 public:
  /// Makes `directory` if it is missing. Throws UsageError naming the process that has the lock, and FileError if there
  /// can be none, as where `.lock` is a symbolic link or holds anything but a process number: then it is not ours.
  explicit RunLock(std::filesystem::path directory);
  /// What the process before held in `descriptor`.
  RunLock(std::filesystem::path directory, int descriptor) noexcept;

  /// Makes sure, before something is written in the directory, that it is locked: if it or the file in it was removed
  /// or replaced meanwhile, the lock went with it, and is taken anew. Throws FileError, also if another process has it.
  void keep();

  /// For the hand-off; stays owned by the lock, and closes on exec.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

 private:
  std::filesystem::path directory_;
  Descriptor file_;
};

}  // namespace ane::train
