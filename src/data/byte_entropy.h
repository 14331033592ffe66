#pragma once

#include "ane/core/file.h"

namespace ane::data {

/// Entropy of the bytes of `file`, in nats per byte: of all of them, or of evenly spaced pieces (32 MB) of a larger
/// file. Throws FileError.
[[nodiscard]] double byte_entropy(const RegularFile& file);

}  // namespace ane::data
