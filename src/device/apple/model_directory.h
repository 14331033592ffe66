#pragma once

#include <filesystem>
#include <string_view>

#include "ane/mil/blob.h"

namespace ane::device::apple {

/// The folder in which Apple's compiler looks for a program: model.mil and its blob files (ane.md 1.3). Removed on
/// destruction.
class ModelDirectory {
 public:
  /// Replaces what a killed process may have left at `path`. Throws DeviceError if it cannot be written.
  ModelDirectory(std::filesystem::path path, std::string_view mil_text, const mil::Blobs& weights);
  ~ModelDirectory();
  ModelDirectory(const ModelDirectory&) = delete;
  ModelDirectory& operator=(const ModelDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Whether the files are there and hold just this.
  [[nodiscard]] bool holds(std::string_view mil_text, const mil::Blobs& weights) const;

 private:
  void populate(std::string_view mil_text, const mil::Blobs& weights) const;
  void remove() const noexcept;

  std::filesystem::path path_;
};

/// Where in the directory a blob lies: its key without "@model_path/". Throws CompileError for a key that has another
/// form or leads out of the directory.
[[nodiscard]] std::filesystem::path blob_file(std::string_view key);

}  // namespace ane::device::apple
