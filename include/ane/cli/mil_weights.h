#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

namespace ane::cli {

struct MilWeights {
  mil::Blobs blobs;
  std::set<std::string> made_up;  ///< the paths of files that were not there
};

/// The blob files that `program` names below `directory`, each record checked. With `seed`, what is missing is made up,
/// and `program` changed to name it (random_weights.h). Throws FileError naming what is missing, BlobError for a record
/// that is not what the text says it is, and what make_up_weights() throws.
[[nodiscard]] MilWeights load_mil_weights(mil::Program& program, const std::filesystem::path& directory,
                                          std::optional<std::uint64_t> seed);

}  // namespace ane::cli
