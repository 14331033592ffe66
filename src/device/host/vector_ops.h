#pragma once

#include <cstddef>

#include "elementwise.h"

/// Vectorised loops (Highway, the best instruction set picked at run time).
namespace ane::device::host {

/// to[i] = op(a[i], b[i], c[i]) for `count` elements of 4 bytes. Operands that `op` does not take are ignored. `to` may
/// be an operand.
void apply(const MicroOp& op, const void* a, const void* b, const void* c, void* to, std::size_t count);

/// Of a row: the sum, the sum of squares, the largest and the smallest (NaN if any is).
[[nodiscard]] float row_sum(const float* row, std::size_t count);
[[nodiscard]] float row_sum_square(const float* row, std::size_t count);
[[nodiscard]] float row_max(const float* row, std::size_t count);
[[nodiscard]] float row_min(const float* row, std::size_t count);

/// to = softmax(row), computed in fp32, rounded to fp16 if `round`. In place is fine.
void row_softmax(const float* row, float* to, std::size_t count, bool round);

/// The instruction set in use ("AVX3").
[[nodiscard]] const char* vector_target();

}  // namespace ane::device::host
