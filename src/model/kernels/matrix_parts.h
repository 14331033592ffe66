#pragma once

#include <cstddef>
#include <vector>

#include "ane/math/threads.h"
#include "ane/mil/types.h"

namespace ane::model {

/// Ranges of a matrix's outputs and inputs, each computed by its own product: the sums of those of the inputs, one
/// after the other for the outputs.
struct MatrixParts {
  std::vector<math::Range> outputs, inputs;
  [[nodiscard]] bool is_whole() const noexcept { return outputs.size() == 1 && inputs.size() == 1; }
};

/// The fewest parts of a matrix [out, in] whose products with [in, seq_len] keep the rules of the engine for long sums
/// (A50) and, unless the input alone is too large, for large operations (A47).
[[nodiscard]] MatrixParts matrix_parts(std::size_t out, std::size_t in, std::size_t seq_len, mil::DType element);

}  // namespace ane::model
