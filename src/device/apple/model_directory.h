#pragma once

#include <filesystem>
#include <string_view>

#include "ane/mil/blob.h"

#include "program_claim.h"

namespace ane::device::apple {

/// The directory in which Apple's compiler looks for a program: model.mil and its blob files (ane.md 1.3). It is
/// removed when the last process releases the program; the framework deletes it earlier, when any process unloads the
/// program.
class ModelDirectory {
 public:
  /// Writes the files, unless another process already did. Throws DeviceError if they cannot be written.
  ModelDirectory(std::filesystem::path path, std::string_view mil_text, const mil::Blobs& weights);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Writes the files again if they are missing; returns false if none was missing. Throws DeviceError.
  [[nodiscard]] bool restore(std::string_view mil_text, const mil::Blobs& weights) const;
  /// See ProgramClaim.
  [[nodiscard]] bool take_over() noexcept { return claim_.take_over(); }
  void keep_record() noexcept { claim_.keep_record(); }
  /// Whether the files exist with exactly these contents.
  [[nodiscard]] bool holds(std::string_view mil_text, const mil::Blobs& weights) const;

 private:
  void populate(std::string_view mil_text, const mil::Blobs& weights) const;

  std::filesystem::path path_;
  ProgramClaim claim_;
};

}  // namespace ane::device::apple
