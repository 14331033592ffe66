#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/safetensors.h"

namespace ane::model {

/// The index of a model that is divided into several files (shards), as Hugging Face's libraries write it.
inline constexpr const char* kIndexFile = "model.safetensors.index.json";

/// The tensors of a model: of one safetensors file, or of the shards that an index names.
class ModelTensors {
 public:
  /// Reads the headers. Throws FileError like SafetensorsFile, and for an index that is not JSON, names a file outside
  /// its directory, or disagrees with the shards.
  explicit ModelTensors(const std::filesystem::path& file_or_index);
  /// The tensors of open files, at least one, which messages call `path`. Throws FileError as above.
  ModelTensors(const std::filesystem::path& path, std::vector<RegularFile> files);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The file of each tensor, by the tensor's name.
  [[nodiscard]] const std::map<std::string_view, const SafetensorsFile*>& files() const noexcept { return files_; }
  /// Throws FileError if there is no such tensor.
  [[nodiscard]] const SafetensorsFile& file_of(std::string_view tensor) const;
  [[nodiscard]] const std::vector<SafetensorsFile>& shards() const noexcept { return shards_; }
  /// The metadata of the first file.
  [[nodiscard]] const Metadata& metadata() const { return shards_.front().metadata(); }

 private:
  void list_tensors();

  std::filesystem::path path_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string_view, const SafetensorsFile*> files_;  ///< refers to shards_
};

}  // namespace ane::model
