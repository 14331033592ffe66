#pragma once

#include "joined_files.h"

namespace ane::data {

/// Entropy of the bytes of `files`, in nats per byte: of all of them, or of evenly spaced pieces (32 MB) of a larger
/// file. Throws FileError.
[[nodiscard]] double byte_entropy(const JoinedFiles& files);

}  // namespace ane::data
