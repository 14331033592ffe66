#pragma once

#include <cstddef>
#include <cstdint>

#include "ane/mil/ops.h"

#include "run/micro_op.h"

/// Vectorized loops (Highway, with the best instruction set selected at run time).
namespace ane::device::host {

/// Operands and result of a loop: `count` elements of 4 bytes each. `to` may be an operand.
struct Operands {
  const void* a = nullptr;
  const void* b = nullptr;
  const void* c = nullptr;
  void* to = nullptr;
  std::size_t count = 0;
};

/// to[i] = op(a[i], b[i], c[i]). Operands that `op` does not use may be read, but do not matter.
using Loop = void (*)(const MicroOp& op, const Operands& operands);

/// The loop of `op`, which must be called with the same operation.
[[nodiscard]] Loop loop_of(const MicroOp& op);

inline void apply(const MicroOp& op, const Operands& operands) { loop_of(op)(op, operands); }

/// to[i] = *value for `count` elements of 4 bytes.
void repeat(const void* value, void* to, std::size_t count);

/// to[i] = factor * row[i * stride]
void scale_row(float factor, const float* row, std::int64_t stride, float* to, std::size_t count);

/// Reduction of a row to one number: its sum, or for reduce_sum_square, reduce_max and reduce_min the sum of squares,
/// the largest or the smallest (NaN if any is); times `scale`, rounded to fp16 if `round`.
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
