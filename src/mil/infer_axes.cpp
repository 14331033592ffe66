#include <algorithm>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"

namespace ane::mil {

std::size_t axis_of(const OpView& op) {
  const std::int64_t otherwise = op.kind() == OpKind::softmax ? -1 : 0;
  std::size_t rank = 0;
  if (op.kind() == OpKind::concat || op.kind() == OpKind::stack)
    rank = op.type(op.operands("values").front()).shape.size();
  else
    rank = op.type("x").shape.size();
  // stack makes a new axis.
  return axis_in(op, op.integer("axis", otherwise), op.kind() == OpKind::stack ? rank + 1 : rank);
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
