#pragma once

#include <filesystem>

namespace ane::train {

/// A temporary directory beside `place`, the destination of a checkpoint. Its name is never mistaken for a
/// checkpoint's, and it is removed with the checkpoint's files unless it is moved into place. Leftovers of dead
/// processes beside `place` are removed first. Files that do not belong to a checkpoint (checkpoint_names.h), and
/// directories that contain one, are never removed. Every member throws FileError.
class AsideDirectory {
 public:
  explicit AsideDirectory(std::filesystem::path place);
  ~AsideDirectory();
  AsideDirectory(const AsideDirectory&) = delete;
  AsideDirectory& operator=(const AsideDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return aside_; }

  /// Renames the directory durably. Replaces an existing one, which is restored on failure.
  void move_into_place();

 private:
  std::filesystem::path place_;
  std::filesystem::path aside_;
};

/// Removes leftovers in `directory` of processes that died while writing or removing checkpoints.
void remove_leftovers(const std::filesystem::path& directory);

/// Removes the checkpoint `directory` atomically: even after a kill, no partial checkpoint is visible under its name.
/// If it contains other files, it stays with only those; a symbolic link stays. Throws FileError.
void remove_directory(const std::filesystem::path& directory);

}  // namespace ane::train
