#include <string_view>

#include "ane/mil/geometry.h"

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

}  // namespace

/// Integers as fp32.
View Lowering::as_float(const View& integers) {
  return builder_.elementwise({.kind = OpKind::cast, .integer = true, .to = mil::DType::fp32}, {integers},
                              integers.shape, mil::DType::fp32);
}

/// A scalar, or a vector along `axis`, reshaped to broadcast to the result.
View Lowering::along_axis(const Op& op, std::string_view argument) {
  const View view = operand(op, argument);
  if (view.rank() == 0) return view;
  Dims aligned(op.result_type().shape.size(), 1);
  const std::int64_t axis = op.integer("axis", 0);
  aligned[static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(aligned.size()) : axis)] =
      view.shape.front();
  return *reshaped(view, aligned);
}

/// round(input / scale) + zero_point as int8 or uint8, rounded only once, to whole numbers.
void Lowering::quantize(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const mil::TensorType& whole = type(result);
  const View quotient = compute(OpKind::real_div, {operand(op, "input"), along_axis(op, "scale")}, whole.shape);
  View rounded = compute(OpKind::round, {quotient}, whole.shape);
  if (op.has("zero_point")) {
    rounded = compute(OpKind::add, {rounded, as_float(along_axis(op, "zero_point"))}, whole.shape);
  }
  define(result, {.kind = OpKind::cast, .to = whole.dtype}, {rounded});
}

/// scale * (data - zero_point)
void Lowering::dequantize(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const std::string_view data = op.kind() == OpKind::dequantize ? "input" : "quantized_data";
  View centred = as_float(operand(op, data));
  if (op.has("zero_point")) {
    centred = compute(OpKind::sub, {centred, as_float(along_axis(op, "zero_point"))}, type(result).shape);
  }
  define(result, {.kind = OpKind::mul, .round = rounds(result)}, {centred, along_axis(op, "scale")});
}

void Lowering::lut_to_dense(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  publish(result, builder_.expanded_by_table(operand(op, "indices"), operand(op, "lut"), mil::lut_index_bits(op),
                                             type(result).shape));
}

void Lowering::sparse_to_dense(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  publish(result, builder_.expanded_by_mask(operand(op, "mask"), operand(op, "nonzero_data"), type(result).shape,
                                            op.operation().name));
}

}  // namespace ane::device::host
