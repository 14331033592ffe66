#include <cmath>
#include <limits>

#include "ane/mil/geometry.h"

#include "lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

View swapped(const View& matrix) {
  Dims perm(matrix.rank());
  for (std::size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<std::int64_t>(i);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return permuted(matrix, perm);
}

Dims product_shape(const Dims& result, const View& a, const View& b) {
  // A vector's missing dimension is 1 here; the leading ones are those of the result.
  const std::size_t matrix = (a.rank() == 1 ? 0U : 1U) + (b.rank() == 1 ? 0U : 1U);
  Dims shape(result.begin(), result.end() - static_cast<std::ptrdiff_t>(matrix));
  shape.push_back(a.rank() == 1 ? 1 : a.shape[a.rank() - 2]);
  shape.push_back(b.rank() == 1 ? 1 : b.shape[b.rank() - 1]);
  return shape;
}

}  // namespace

void Lowering::matmul(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  View a = operand(op, "x");
  View b = operand(op, "y");
  if (a.rank() > 1 && op.flag("transpose_x", false)) a = swapped(a);
  if (b.rank() > 1 && op.flag("transpose_y", false)) b = swapped(b);
  const Dims shape = product_shape(type(result).shape, a, b);
  if (a.rank() == 1) a = expanded(a, 0);
  if (b.rank() == 1) b = expanded(b, 1);
  const View c = builder_.product(a, b, shape, 1.0F, type(result).dtype, target(result, shape));
  finish(result, *reshaped(c, type(result).shape), std::nullopt);
}

/// x [.., Di] times the transpose of weight [Do, Di].
void Lowering::linear(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  View x = operand(op, "x");
  const View weight = swapped(operand(op, "weight"));
  const Dims shape = product_shape(type(result).shape, x, weight);
  if (x.rank() == 1) x = expanded(x, 0);
  const View c = builder_.product(x, weight, shape, 1.0F, type(result).dtype, target(result, shape));
  std::optional<View> bias;
  if (op.has("bias")) bias = operand(op, "bias");
  finish(result, *reshaped(c, type(result).shape), bias);
}

/// A product of the weight with the patches of x, which are a view of it that repeats elements where they overlap:
/// [N, groups, Co / groups, Ci / groups * kernel] x [N, groups, Ci / groups * kernel, positions].
void Lowering::conv(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const mil::ConvGeometry geometry = mil::conv_geometry(op);
  View x = operand(op, "x");
  std::vector<Dims> padding(2);
  bool padded = false;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    const mil::ConvDimension* const dim = axis < 2 ? nullptr : &geometry.dimensions[axis - 2];
    Dims table(dim == nullptr ? 0 : static_cast<std::size_t>(dim->pad_begin), TableCopy::kFill);
    for (std::int64_t i = 0; i < x.shape[axis]; ++i) table.push_back(i);
    table.insert(table.end(), dim == nullptr ? 0 : static_cast<std::size_t>(dim->pad_end), TableCopy::kFill);
    padded = padded || table.size() != static_cast<std::size_t>(x.shape[axis]);
    if (axis < 2) {
      padding[axis] = std::move(table);
    } else {
      padding.push_back(std::move(table));
    }
  }
  if (padded) x = builder_.table_copy(x, std::move(padding), 0);

  const std::int64_t group_channels = geometry.in_channels / geometry.groups;
  View patches = x;
  patches.shape = {geometry.batch, geometry.groups, group_channels};
  patches.strides = {x.strides[0], x.strides[1] * group_channels, x.strides[1]};
  std::int64_t depth = group_channels;
  std::int64_t positions = 1;
  for (std::size_t i = 0; i < geometry.dimensions.size(); ++i) {
    patches.shape.push_back(geometry.dimensions[i].kernel);
    patches.strides.push_back(x.strides[i + 2] * geometry.dimensions[i].dilation);
    depth *= geometry.dimensions[i].kernel;
  }
  for (std::size_t i = 0; i < geometry.dimensions.size(); ++i) {
    patches.shape.push_back(geometry.dimensions[i].out);
    patches.strides.push_back(x.strides[i + 2] * geometry.dimensions[i].stride);
    positions *= geometry.dimensions[i].out;
  }
  const Dims matrix{geometry.batch, geometry.groups, depth, positions};
  std::optional<View> columns = reshaped(patches, matrix);
  if (!columns) columns = reshaped(builder_.dense(patches), matrix);

  const std::int64_t group_out = geometry.out_channels / geometry.groups;
  const View weight = *reshaped(builder_.dense(operand(op, "weight")), Dims{geometry.groups, group_out, depth});
  const Dims shape{geometry.batch, geometry.groups, group_out, positions};
  const View c = builder_.product(weight, *columns, shape, 1.0F, type(result).dtype, target(result, shape));

  std::optional<View> bias;
  if (op.has("bias")) {
    Dims aligned(x.rank() - 1, 1);
    aligned[0] = geometry.out_channels;
    bias = reshaped(operand(op, "bias"), aligned);
  }
  std::optional<View> y = reshaped(c, type(result).shape);
  if (!y) y = reshaped(builder_.dense(c), type(result).shape);
  finish(result, *y, bias);
}

/// softmax(Q K^T / sqrt(E) + mask) V as one operation: only its result is rounded.
void Lowering::attention(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View query = operand(op, "query");
  const View key = swapped(operand(op, "key"));
  Dims shape(query.shape.begin(), query.shape.end() - 1);
  shape.push_back(key.shape.back());
  const auto width = static_cast<float>(query.shape.back());
  View scores = builder_.product(query, key, shape, 1.0F / std::sqrt(width), mil::DType::fp32);
  if (op.has("attn_mask")) {
    const View mask = operand(op, "attn_mask");
    if (op.type("attn_mask").dtype == mil::DType::boolean) {
      const View never = builder_.scalar(-std::numeric_limits<float>::infinity());
      scores = compute(OpKind::select, {mask, scores, never}, shape);
    } else {
      scores = compute(OpKind::add, {scores, mask}, shape);
    }
  }
  const View weights = builder_.softmax(scores, /*round=*/false);
  const Dims& out = type(result).shape;
  finish(result, builder_.product(weights, operand(op, "value"), out, 1.0F, mil::DType::fp32, target(result, out)),
         std::nullopt);
}

}  // namespace ane::device::host
