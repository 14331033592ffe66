#include <algorithm>

#include "ane/mil/geometry.h"

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

constexpr float kLayerNormEpsilon = 1e-5F;

}  // namespace

Dims axes_last(std::size_t rank, const std::vector<std::size_t>& axes) {
  Dims perm;
  for (std::size_t i = 0; i < rank; ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) perm.push_back(static_cast<std::int64_t>(i));
  }
  for (const std::size_t axis : axes) perm.push_back(static_cast<std::int64_t>(axis));
  return perm;
}

void Lowering::softmax(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View x = operand(op, "x");
  const Dims perm = axes_last(x.rank(), {mil::axis_of(op)});
  publish(result, unpermuted(builder_.softmax(permuted(x, perm), rounds(result)), perm));
}

View Lowering::reduced(const View& x, const std::vector<std::size_t>& axes, OpKind kind, bool round) {
  const View turned = permuted(x, axes_last(x.rank(), axes));
  Dims shape(turned.shape.begin(), turned.shape.end() - static_cast<std::ptrdiff_t>(axes.size()));
  const std::int64_t count = element_count(x.shape) / element_count(shape);
  Dims kept(x.shape);
  for (const std::size_t axis : axes) kept[axis] = 1;
  shape.push_back(count);
  std::optional<View> rows = reshaped(turned, shape);
  if (!rows) rows = reshaped(builder_.dense(turned), shape);
  const float scale = kind == OpKind::reduce_mean ? 1.0F / static_cast<float>(count) : 1.0F;
  View out = builder_.reduce(kind, *rows, scale, round);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (std::find(axes.begin(), axes.end(), i) != axes.end()) out = expanded(out, i);
  }
  return out;
}

void Lowering::reduce(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View x = operand(op, "x");
  const bool root = op.kind() == OpKind::reduce_l2_norm;
  const OpKind kind = root ? OpKind::reduce_sum_square : op.kind();
  const View out = reduced(x, mil::axes_of(op), kind, rounds(result) && !root);
  const View shaped = *reshaped(out, type(result).shape);
  if (!root) return publish(result, shaped);
  define(result, {.kind = OpKind::sqrt, .round = rounds(result)}, {shaped});
}

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta as one operation: only its result is rounded.
void Lowering::layer_norm(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View x = operand(op, "x");
  const std::vector<std::size_t> axes = mil::axes_of(op);
  const View mean = reduced(x, axes, OpKind::reduce_mean, /*round=*/false);
  const View centred = compute(OpKind::sub, {x, mean}, x.shape);
  const View square = compute(OpKind::square, {centred}, x.shape);
  const View variance = reduced(square, axes, OpKind::reduce_mean, /*round=*/false);
  const View factor = compute(OpKind::rsqrt, {variance}, variance.shape, op.real("epsilon", kLayerNormEpsilon));

  const auto along_axes = [&](std::string_view argument) {
    Dims aligned(x.rank(), 1);
    for (const std::size_t axis : axes) aligned[axis] = x.shape[axis];
    return *reshaped(operand(op, argument), aligned);
  };
  View scaled = factor;
  if (op.has("gamma")) {
    scaled = compute(OpKind::mul, {factor, along_axes("gamma")}, x.shape);
  }
  if (!op.has("beta")) return define(result, {.kind = OpKind::mul, .round = rounds(result)}, {centred, scaled});
  const View product = compute(OpKind::mul, {centred, scaled}, x.shape);
  define(result, {.kind = OpKind::add, .round = rounds(result)}, {product, along_axes("beta")});
}

}  // namespace ane::device::host
