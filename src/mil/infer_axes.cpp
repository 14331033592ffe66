#include <algorithm>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"

namespace ane::mil {
namespace {

/// The type that `argument` names for the indices of an axis of x.
DType index_type(const OpView& op, std::string_view argument, std::size_t axis) {
  constexpr std::int64_t kMostUint16 = 65536;
  const std::string type = op.text(argument, "int32");
  require_one_of(op, argument, type, {"int32", "uint16"});
  if (type == "uint16" && op.type("x").shape[axis] > kMostUint16)
    fail(op, fmt::format("uint16 cannot hold the indices of axis {}: {}", axis, describe(op, {"x"})));
  return *dtype_from_name(type);
}

}  // namespace

std::size_t axis_of(const OpView& op) {
  const bool last = op.kind() == OpKind::softmax || op.kind() == OpKind::reduce_argmax ||
                    op.kind() == OpKind::reduce_argmin || op.kind() == OpKind::topk;
  std::size_t rank = 0;
  if (op.kind() == OpKind::concat || op.kind() == OpKind::stack)
    rank = op.type(op.operands("values").front()).shape.size();
  else
    rank = op.type("x").shape.size();
  // stack creates a new axis.
  return axis_in(op, op.integer("axis", last ? -1 : 0), op.kind() == OpKind::stack ? rank + 1 : rank);
}

std::vector<std::size_t> axes_of(const OpView& op) {
  const Shape& shape = op.type("x").shape;
  std::vector<std::size_t> axes;
  if (op.has("axes")) {
    axes = axes_in(op, op.integers("axes"), shape.size());
    std::sort(axes.begin(), axes.end());
  } else {
    for (std::size_t i = 0; i < shape.size(); ++i)
      if (op.kind() != OpKind::squeeze || shape[i] == 1) axes.push_back(i);
  }
  return axes;
}

Types infer_softmax(const OpView& op) {
  static_cast<void>(axis_of(op));
  return {op.type("x")};
}

Types infer_reduce(const OpView& op) {
  const TensorType& x = op.type("x");
  const std::vector<std::size_t> axes = axes_of(op);
  const bool keep = op.flag("keep_dims", false);
  TensorType type{x.dtype, {}};
  for (std::size_t i = 0; i < x.shape.size(); ++i) {
    const bool reduced = std::binary_search(axes.begin(), axes.end(), i);
    if (!reduced || keep) type.shape.push_back(reduced ? 1 : x.shape[i]);
  }
  return {type};
}

Types infer_reduce_arg(const OpView& op) {
  const std::size_t axis = axis_of(op);
  TensorType type{index_type(op, "output_dtype", axis), op.type("x").shape};
  type.shape[axis] = 1;
  if (!op.flag("keep_dims", false)) type.shape.erase(type.shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return {type};
}

Types infer_topk(const OpView& op) {
  TensorType type = op.type("x");
  const std::size_t axis = axis_of(op);
  const std::int64_t size = type.shape[axis];
  const std::int64_t k = op.integer("k", 1);
  if (k != -1 && (k < 1 || k > size))
    fail(op, fmt::format("k is {}, expected -1 (all) or 1 to {}, the size of axis {}: {}", k, size, axis,
                         describe(op, {"x"})));
  type.shape[axis] = k == -1 ? size : k;
  if (op.flag("return_indices", true)) return {type, {index_type(op, "output_indices_dtype", axis), type.shape}};
  if (op.has("output_indices_dtype")) fail(op, "output_indices_dtype is given, but return_indices is false");
  return {type};
}

Types infer_layer_norm(const OpView& op) {
  const TensorType& x = op.type("x");
  Shape normalized;
  for (const std::size_t axis : axes_of(op)) normalized.push_back(x.shape[axis]);
  for (const std::string_view argument : {"gamma", "beta"}) {
    if (!op.has(argument)) continue;
    if (op.type(argument) != TensorType{x.dtype, normalized})
      fail(op, fmt::format("'{}' must be {}, as x along its axes: {}", argument,
                           to_string(TensorType{x.dtype, normalized}), describe(op, {"x", argument})));
  }
  return {x};
}

}  // namespace ane::mil
