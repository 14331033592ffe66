#pragma once

#include <cstddef>

#include "ane/core/mapped_memory.h"

namespace ane::model {

/// Zeroed memory for `elements` fp32 values of a step. It is allocated only when written to, so that a model can be
/// planned on a machine where it does not fit. Throws UsageError with the size.
[[nodiscard]] MappedMemory activation_memory(std::size_t elements);

}  // namespace ane::model
