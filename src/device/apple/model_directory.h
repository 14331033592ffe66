#pragma once

#include <filesystem>
#include <string_view>

#include "ane/mil/blob.h"

namespace ane::device::apple {

/// A lock on a directory by a file beside it. The system drops it with the process, also at exec and kill, so that what
/// is left behind can be told from what is in use.
class DirectoryClaim {
 public:
  /// Takes the lock, unless another process or device has it. Throws DeviceError if the file cannot be made.
  explicit DirectoryClaim(const std::filesystem::path& directory);
  ~DirectoryClaim();
  DirectoryClaim(const DirectoryClaim&) = delete;
  DirectoryClaim& operator=(const DirectoryClaim&) = delete;

  [[nodiscard]] bool is_ours() const noexcept { return is_ours_; }

  static constexpr std::string_view kSuffix = ".ane-train-lock";

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  bool is_ours_ = false;
};

/// The folder in which Apple's compiler looks for a program: model.mil and its blob files (ane.md 1.3). Removed on
/// destruction. If another process works with the very same program, the folder is the other's to write and to remove.
class ModelDirectory {
 public:
  /// Replaces what a killed process may have left at `path`. Throws DeviceError if it cannot be written.
  ModelDirectory(std::filesystem::path path, std::string_view mil_text, const mil::Blobs& weights);
  ~ModelDirectory();
  ModelDirectory(const ModelDirectory&) = delete;
  ModelDirectory& operator=(const ModelDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] bool is_ours() const noexcept { return claim_.is_ours(); }
  /// Whether the files are there and hold just this.
  [[nodiscard]] bool holds(std::string_view mil_text, const mil::Blobs& weights) const;

 private:
  void populate(std::string_view mil_text, const mil::Blobs& weights) const;
  void wait_until_populated(std::string_view mil_text, const mil::Blobs& weights) const;
  void remove() const noexcept;

  std::filesystem::path path_;
  DirectoryClaim claim_;
};

/// Removes the model directories in `folder` that processes left when they were killed or replaced.
void remove_abandoned_directories(const std::filesystem::path& folder) noexcept;

/// Where in the directory a blob lies: its key without "@model_path/". Throws CompileError for a key that has another
/// form or leads out of the directory.
[[nodiscard]] std::filesystem::path blob_file(std::string_view key);

}  // namespace ane::device::apple
