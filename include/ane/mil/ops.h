#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ane::mil {

/// All supported operations; ane.md 2.4 describes each. Names in text are those of the enumerators except `constant`
/// ("const").
enum class OpKind : std::uint8_t {
  constant,
  // products
  conv,
  matmul,
  linear,
  einsum,
  // elementwise, two operands
  add,
  sub,
  mul,
  real_div,
  pow,
  maximum,
  minimum,
  greater,
  greater_equal,
  less,
  less_equal,
  equal,
  not_equal,
  floor_div,
  mod,
  logical_and,
  logical_or,
  logical_xor,
  // elementwise, one operand
  abs,
  sign,
  floor,
  ceil,
  round,
  exp,
  log,
  sqrt,
  rsqrt,
  inverse,
  square,
  sin,
  cos,
  tanh,
  erf,
  sigmoid,
  relu,
  leaky_relu,
  silu,
  gelu,
  softplus,
  clip,
  cast,
  identity,
  logical_not,
  select,
  // along axes
  softmax,
  reduce_sum,
  reduce_mean,
  reduce_max,
  reduce_min,
  reduce_sum_square,
  reduce_l2_norm,
  reduce_argmax,
  reduce_argmin,
  layer_norm,
  scaled_dot_product_attention,
  topk,
  // over windows
  max_pool,
  avg_pool,
  // shape and position
  reshape,
  transpose,
  expand_dims,
  squeeze,
  slice_by_size,
  slice_by_index,
  concat,
  split,
  stack,
  pad,
  tile,
  gather,
  gather_along_axis,
  range_1d,
  shape,
  // quantized values and compressed weights
  quantize,
  dequantize,
  constexpr_affine_dequantize,
  constexpr_lut_to_dense,
  constexpr_sparse_to_dense,
};

/// Number of operations: kinds are 0 .. kOpCount - 1.
inline constexpr std::size_t kOpCount = static_cast<std::size_t>(OpKind::constexpr_sparse_to_dense) + 1;

/// The name in MIL text.
[[nodiscard]] std::string_view name(OpKind kind) noexcept;
[[nodiscard]] std::optional<OpKind> op_from_name(std::string_view name) noexcept;

}  // namespace ane::mil
