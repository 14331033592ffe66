#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ane/core/file.h"
#include "ane/model/model_tensors.h"
#include "ane/model/parameter_reader.h"
#include "ane/model/parameters.h"

namespace ane::app {

/// An open file of a base model, as one process passes it to the next.
struct PassedFile {
  int descriptor = -1;
  FileIdentity identity;  ///< when the run started
  std::filesystem::path path;
};

/// An open file that must stay as it was when the run started.
struct FrozenFile {
  RegularFile file;
  FileIdentity identity;

  /// Throws FileError if the file has changed.
  void expect_unchanged() const;
};

/// The model that a run fine-tunes, whose frozen parameters stay in its files. They are open for the whole run, through
/// all of its processes, so that it does not matter if they are renamed or removed.
class BaseModel {
 public:
  /// Opens the model that `--model` names. Throws FileError, UsageError.
  explicit BaseModel(const std::filesystem::path& path);
  /// Adopts the descriptors that the previous process passed, at least one, and its digest(), which may be empty.
  BaseModel(const std::vector<PassedFile>& files, std::string digest);

  /// A reader of the parameters of `layout`, which must be the model's. It reads the files' headers when the first
  /// value is wanted, and throws FileError for every value if a file has changed since the run started.
  [[nodiscard]] std::shared_ptr<const model::ParameterReader> open(const model::ParameterLayout& layout) const;
  /// Size and checksum of the files. The first call reads all of them. Throws FileError.
  [[nodiscard]] const std::string& digest();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// The open files, for the next process.
  [[nodiscard]] std::vector<PassedFile> files() const;

 private:
  void add(RegularFile file);

  std::filesystem::path path_;
  std::vector<FrozenFile> files_;
  std::string digest_;
};

}  // namespace ane::app
