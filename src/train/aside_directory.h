#pragma once

#include <filesystem>

namespace ane::train {

/// A new, empty directory beside `place`, the place of a checkpoint, made with a name that is never taken for one and
/// removed with the checkpoint's files unless it is moved into place. What dead processes left beside `place` is
/// removed first. Nothing here removes a file that is none of a checkpoint's (checkpoint_names.h), or a directory in
/// which there is one. Every member throws FileError.
class AsideDirectory {
 public:
  explicit AsideDirectory(std::filesystem::path place);
  ~AsideDirectory();
  AsideDirectory(const AsideDirectory&) = delete;
  AsideDirectory& operator=(const AsideDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return aside_; }

  /// Durably. Replaces what is in place, which comes back if that fails.
  void move_into_place();

 private:
  std::filesystem::path place_;
  std::filesystem::path aside_;
};

/// Removes what processes that died while they wrote or removed directories in `directory` left there.
void remove_leftovers(const std::filesystem::path& directory);

/// Removes the checkpoint `directory`. Whoever looks meanwhile, or finds what a kill left, sees no part of it under its
/// name. With other files in it, it stays with those alone; a symbolic link stays. Throws FileError.
void remove_directory(const std::filesystem::path& directory);

}  // namespace ane::train
