#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

namespace ane::app {

/// Generates weights for the constants of `program` in the blob files `missing`, with their declared types: floats are
/// normal with deviation 1 / sqrt(number of elements summed per output), bytes uniform, wider integers 0 or 1 (so that
/// they can be indices), and masks have the required number of bits set. All are derived from `seed` and the constant's
/// index.
///
/// `program` is changed to give each tensor its own blob file, because the other contents and the size of a missing
/// file are unknown. Throws DeviceError if the weights do not fit into the available memory, BlobError for a type that
/// blob files cannot hold.
[[nodiscard]] mil::Blobs generate_weights(mil::Program& program, const std::set<std::string>& missing,
                                          std::uint64_t seed);

}  // namespace ane::app
