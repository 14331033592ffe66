#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

namespace ane::app {

struct MilWeights {
  mil::Blobs blobs;
  std::set<std::string> generated;  ///< paths of the missing files, whose weights were generated
};

/// Loads the blob files that `program` names below `directory` and checks each record. With `seed`, weights are
/// generated for missing files, and `program` is changed to name them (random_weights.h). Throws FileError naming the
/// missing files, BlobError for a record that does not match its declaration in the text, and the errors of
/// generate_weights().
[[nodiscard]] MilWeights load_mil_weights(mil::Program& program, const std::filesystem::path& directory,
                                          std::optional<std::uint64_t> seed);

}  // namespace ane::app
