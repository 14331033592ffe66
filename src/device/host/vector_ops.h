#pragma once

#include <cstddef>
#include <cstdint>

#include "elementwise.h"

/// Vectorised loops (Highway, the best instruction set picked at run time).
namespace ane::device::host {

/// to[i] = op(a[i], b[i], c[i]) for `count` elements of 4 bytes. Operands that `op` does not take are ignored. `to` may
/// be an operand.
void apply(const MicroOp& op, const void* a, const void* b, const void* c, void* to, std::size_t count);

/// to[i] = *value for `count` elements of 4 bytes.
void repeat(const void* value, void* to, std::size_t count);

/// to[i] = factor * row[i * stride]
void scale_row(float factor, const float* row, std::int64_t stride, float* to, std::size_t count);

/// How a row becomes one number: its sum, or for reduce_sum_square, reduce_max and reduce_min the sum of squares, the
/// largest or the smallest (NaN if any is); times `scale`, rounded to fp16 if `round`.
struct RowFold {
  mil::OpKind kind = mil::OpKind::reduce_sum;
  float scale = 1;
  bool round = false;
};
[[nodiscard]] float fold_row(const RowFold& fold, const float* row, std::size_t count);

/// to = softmax(row), computed in fp32, rounded to fp16 if `round`. In place is fine.
void row_softmax(const float* row, float* to, std::size_t count, bool round);

/// The instruction set in use ("AVX3").
[[nodiscard]] const char* vector_target();

}  // namespace ane::device::host
