#pragma once

#include <filesystem>
#include <string_view>

namespace ane::train {

/// A new, empty directory beside `place`, made with a name that is never taken for a checkpoint and removed with all
/// that is in it unless it is moved into place. What dead processes left beside `place` is removed first. Every member
/// throws FileError.
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

/// Removes `directory` with all that is in it. Whoever looks meanwhile, or finds what a kill left, sees no part of it
/// under its name. Throws FileError.
void remove_directory(const std::filesystem::path& directory);

}  // namespace ane::train
