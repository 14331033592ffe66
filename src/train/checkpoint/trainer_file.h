#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/train/checkpoint.h"

namespace ane::train {

/// A checkpoint file that is missing or differs from what was written, as opposed to one that cannot be read.
class DamagedError : public FileError {
 public:
  using FileError::FileError;
};

/// Throws DamagedError.
[[noreturn]] void refuse_damaged(const std::filesystem::path& path, const std::string& fault);

using FileDigests = std::map<std::string, FileDigest>;

struct TrainerFileContents {
  TrainerRecord record;
  CheckpointIdentity identity;
  std::vector<std::string> slots;  ///< names of the optimizer's slots
  FileDigests files;
};

/// The text of a trainer.json. Its last field is a checksum of the preceding text.
[[nodiscard]] std::string trainer_file_text(const TrainerFileContents& contents);

/// Reads trainer.json. Throws DamagedError naming the field if it differs from what was written (any change of its text
/// is detected), FileError if it cannot be read and UsageError if another version of the program wrote it.
[[nodiscard]] TrainerFileContents read_trainer_file(const std::filesystem::path& path);

}  // namespace ane::train
