#pragma once

#include <filesystem>

#include "ane/core/descriptor.h"

namespace ane::train {

/// Ensures one run per checkpoint directory: a lock on its file `.lock`, which contains the holder's process ID. The
/// system releases it however the process ends, and keeps it across exec while the descriptor stays open.
class RunLock {
 public:
  /// Creates `directory` if it is missing. Throws UsageError naming the process that holds the lock, and FileError if
  /// it cannot be locked, also if `.lock` is a symbolic link or contains anything but a process ID and is therefore not
  /// ours.
  explicit RunLock(std::filesystem::path directory);
  /// Adopts the lock that the previous process held through `descriptor`.
  RunLock(std::filesystem::path directory, int descriptor) noexcept;

  /// Must be called before writing to the directory: if the directory or the lock file was removed or replaced, which
  /// loses the lock, takes it again. Throws FileError, also if another process holds it.
  void keep();

  /// Descriptor for the restart; still owned by the lock, and close-on-exec.
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

 private:
  std::filesystem::path directory_;
  Descriptor file_;
};

}  // namespace ane::train
