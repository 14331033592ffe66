#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "ane/mil/blob.h"
#include "ane/mil/program.h"

namespace ane::cli {

/// Weights for the constants of `program` that lie in the blob files `missing`, of their declared types: floats normal
/// with deviation 1 / sqrt(elements that an output is summed from), bytes uniform, wider integers 0 or 1 (so that they
/// can be indices), masks with as many bits as they must have. All from `seed` and the constant's place among them.
///
/// Each tensor gets a blob file of its own, which `program` names from then on: what else a missing file holds, and how
/// large it is, nobody knows. Throws DeviceError if they would need more memory than is left, BlobError for a
/// type that blob files cannot hold.
[[nodiscard]] mil::Blobs make_up_weights(mil::Program& program, const std::set<std::string>& missing,
                                         std::uint64_t seed);

}  // namespace ane::cli
