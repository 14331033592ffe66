#include <algorithm>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"
#include "windows.h"

namespace ane::mil {
namespace {

/// Rows and columns of a matmul operand. A vector is a row on the left and a column on the right.
struct Matrix {
  std::int64_t rows;
  std::int64_t columns;
};

Matrix matrix_of(const Shape& shape, bool transposed, bool left) {
  if (shape.size() == 1) return left ? Matrix{1, shape[0]} : Matrix{shape[0], 1};
  const Matrix matrix{shape[shape.size() - 2], shape[shape.size() - 1]};
  return transposed ? Matrix{matrix.columns, matrix.rows} : matrix;
}

Shape without_matrix(const Shape& shape) { return {shape.begin(), shape.size() < 2 ? shape.begin() : shape.end() - 2}; }

/// numpy's rule for the leading dimensions.
Shape broadcast_leading(const OpView& op, const Shape& a, const Shape& b) {
  Shape common(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < common.size(); ++i) {
    const std::int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1)
      fail(op, fmt::format("leading dimensions do not broadcast: {}", describe(op, {"x", "y"})));
    common[common.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return common;
}

}  // namespace

ConvGeometry conv_geometry(const OpView& op) {
  const Shape& x = op.type("x").shape;
  const Shape& weight = op.type("weight").shape;
  if (x.size() < 3 || x.size() > 5 || weight.size() != x.size())
    fail(op, fmt::format("x must be [N, Ci, *spatial] of rank 3 to 5 and weight of the same rank: {}",
                         describe(op, {"x", "weight"})));
  const std::size_t spatial = x.size() - 2;
  ConvGeometry geometry{x[0], x[1], weight[0], op.integer("groups", 1), {}};
  if (geometry.groups < 1 || geometry.in_channels % geometry.groups != 0 ||
      geometry.out_channels % geometry.groups != 0 || weight[1] != geometry.in_channels / geometry.groups)
    fail(op,
         fmt::format("weight must be [Co, Ci / groups, *kernel] with Ci and Co multiples of groups: groups is {}, {}",
                     geometry.groups, describe(op, {"x", "weight"})));

  geometry.dimensions = windows(op, {weight.begin() + 2, weight.end()}, positive_list(op, "dilations", spatial));
  return geometry;
}

Types infer_conv(const OpView& op) {
  require_same_dtype(op, {"x", "weight"});
  const ConvGeometry geometry = conv_geometry(op);
  const DType dtype = op.type("x").dtype;
  if (op.has("bias") && op.type("bias") != TensorType{dtype, {geometry.out_channels}})
    fail(op, fmt::format("bias must be {}: {}", to_string(TensorType{dtype, {geometry.out_channels}}),
                         describe(op, {"weight", "bias"})));
  const bool dilated = std::any_of(geometry.dimensions.begin(), geometry.dimensions.end(),
                                   [](const ConvDimension& dim) { return dim.dilation != 1; });
  if (dilated && !is_compile_time(op, op.operand("weight")))
    fail(op, "weight is computed at run time, so dilations must be 1");

  Shape shape{geometry.batch, geometry.out_channels};
  for (const ConvDimension& dim : geometry.dimensions) shape.push_back(dim.out);
  return {{dtype, shape}};
}

Types infer_matmul(const OpView& op) {
  require_same_dtype(op, {"x", "y"});
  const Shape& x = op.type("x").shape;
  const Shape& y = op.type("y").shape;
  if (x.empty() || y.empty()) fail(op, fmt::format("a scalar has no rows and columns: {}", describe(op, {"x", "y"})));
  const bool transpose_x = op.flag("transpose_x", false);
  const bool transpose_y = op.flag("transpose_y", false);
  const Matrix left = matrix_of(x, transpose_x, true);
  const Matrix right = matrix_of(y, transpose_y, false);
  if (left.columns != right.rows)
    fail(op, fmt::format("inner dimensions disagree: {}{}{}", describe(op, {"x", "y"}),
                         transpose_x ? ", x transposed" : "", transpose_y ? ", y transposed" : ""));
  Shape shape = broadcast_leading(op, without_matrix(x), without_matrix(y));
  if (x.size() > 1) shape.push_back(left.rows);
  if (y.size() > 1) shape.push_back(right.columns);
  return {{op.type("x").dtype, shape}};
}

Types infer_linear(const OpView& op) {
  require_same_dtype(op, {"x", "weight"});
  TensorType type = op.type("x");
  const Shape& weight = op.type("weight").shape;
  if (type.shape.empty() || type.shape.size() > 5)
    fail(op, fmt::format("x must be of rank 1 to 5: {}", describe(op, {"x"})));
  if (weight.size() != 2 || weight[1] != type.shape.back())
    fail(op, fmt::format("weight must be [Do, Di] with Di the last dimension of x: {}", describe(op, {"x", "weight"})));
  if (op.has("bias") && op.type("bias") != TensorType{type.dtype, {weight[0]}})
    fail(op, fmt::format("bias must be {}: {}", to_string(TensorType{type.dtype, {weight[0]}}),
                         describe(op, {"weight", "bias"})));
  type.shape.back() = weight[0];
  return {type};
}

Types infer_attention(const OpView& op) {
  require_same_dtype(op, {"query", "key", "value"});
  const Shape& query = op.type("query").shape;
  const Shape& key = op.type("key").shape;
  const Shape& value = op.type("value").shape;
  const std::size_t rank = query.size();
  const bool agree = rank >= 3 && key.size() == rank && value.size() == rank &&
                     without_matrix(query) == without_matrix(key) && without_matrix(key) == without_matrix(value) &&
                     query[rank - 1] == key[rank - 1] && key[rank - 2] == value[rank - 2];
  if (!agree)
    fail(op, fmt::format("query must be [B, *, L, E], key [B, *, S, E] and value [B, *, S, EV]: {}",
                         describe(op, {"query", "key", "value"})));
  if (op.has("attn_mask")) {
    const TensorType& mask = op.type("attn_mask");
    Shape scores = query;
    scores.back() = key[rank - 2];
    bool fits = mask.shape.size() <= rank && (mask.dtype == DType::boolean || mask.dtype == op.type("query").dtype);
    for (std::size_t i = 0; fits && i < mask.shape.size(); ++i) {
      const std::int64_t dim = mask.shape[mask.shape.size() - 1 - i];
      fits = dim == 1 || dim == scores[rank - 1 - i];
    }
    if (!fits)
      fail(op, fmt::format("attn_mask must be bool or of query's type and broadcast to {}: {}", to_string(scores),
                           describe(op, {"query", "attn_mask"})));
  }
  Shape shape = query;
  shape.back() = value.back();
  return {{op.type("query").dtype, shape}};
}

}  // namespace ane::mil
