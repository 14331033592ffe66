#pragma once

#include <cstddef>

#include "ane/core/mapped_memory.h"

namespace ane::model {

/// Zeroed memory for `elements` fp32 values of a step. None of it is taken before it is written to, so that a model can
/// be planned where it does not fit. Throws UsageError with the
/// size.
[[nodiscard]] MappedMemory activation_memory(std::size_t elements);

}  // namespace ane::model
