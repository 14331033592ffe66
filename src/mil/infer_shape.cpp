#include <algorithm>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"

namespace ane::mil {
namespace {

/// Maximum number of results of `split`, more than any program needs.
constexpr std::int64_t kMaxSplits = 1024;

std::vector<std::int64_t> mask_of(const OpView& op, std::string_view argument, std::size_t rank) {
  auto mask = op.integers(argument, std::vector<std::int64_t>(rank, 0));
  require_length(op, argument, mask, rank);
  return mask;
}

std::vector<SliceAxis> by_size(const OpView& op, const Shape& shape) {
  const auto begin = op.integers("begin");
  const auto size = op.integers("size");
  require_length(op, "begin", begin, shape.size());
  require_length(op, "size", size, shape.size());
  std::vector<SliceAxis> axes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t count = size[i] == -1 ? shape[i] - begin[i] : size[i];
    if (begin[i] < 0 || count < 1 || begin[i] + count > shape[i])
      fail(op, fmt::format("the slice leaves x: begin {} and size {} on axis {}, {}", begin[i], size[i], i,
                           describe(op, {"x"})));
    axes.push_back({begin[i], 1, count, false});
  }
  return axes;
}

std::vector<SliceAxis> by_index(const OpView& op, const Shape& shape) {
  const auto begin = op.integers("begin");
  const auto end = op.integers("end");
  const auto stride = op.integers("stride", Shape(shape.size(), 1));
  require_length(op, "begin", begin, shape.size());
  require_length(op, "end", end, shape.size());
  require_length(op, "stride", stride, shape.size());
  const auto begin_mask = mask_of(op, "begin_mask", shape.size());
  const auto end_mask = mask_of(op, "end_mask", shape.size());
  const auto squeeze_mask = mask_of(op, "squeeze_mask", shape.size());

  std::vector<SliceAxis> axes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t dim = shape[i];
    const std::int64_t step = stride[i];
    const auto from_front = [dim](std::int64_t index) { return index < 0 ? index + dim : index; };
    if (step == 0) fail(op, fmt::format("stride is 0 on axis {}", i));
    if (squeeze_mask[i] != 0) {
      const std::int64_t index = begin_mask[i] != 0 ? 0 : from_front(begin[i]);
      if (index < 0 || index >= dim)
        fail(op, fmt::format("the slice leaves x: begin {} on axis {}, {}", begin[i], i, describe(op, {"x"})));
      axes.push_back({index, 1, 1, true});
      continue;
    }
    // As in numpy: positions are in [0, dim] for positive steps, in [-1, dim - 1] for negative ones.
    const std::int64_t low = step > 0 ? 0 : -1;
    const std::int64_t high = step > 0 ? dim : dim - 1;
    const std::int64_t first =
        begin_mask[i] != 0 ? (step > 0 ? low : high) : std::clamp(from_front(begin[i]), low, high);
    const std::int64_t last = end_mask[i] != 0 ? (step > 0 ? high : low) : std::clamp(from_front(end[i]), low, high);
    const std::int64_t distance = step > 0 ? last - first : first - last;
    const std::int64_t pace = step > 0 ? step : -step;
    if (distance <= 0)
      fail(op, fmt::format("the slice is empty: begin {}, end {} and stride {} on axis {}, {}", begin[i], end[i], step,
                           i, describe(op, {"x"})));
    axes.push_back({first, step, (distance + pace - 1) / pace, false});
  }
  return axes;
}

/// The first value's type, after checking that the others agree except for `free_axis` (or completely, if that is past
/// the rank).
TensorType joined_type(const OpView& op, std::size_t free_axis) {
  const std::vector<Operand>& values = op.operands("values");
  const TensorType& first = op.type(values.front());
  for (std::size_t k = 1; k < values.size(); ++k) {
    const TensorType& other = op.type(values[k]);
    bool agree = other.dtype == first.dtype && other.shape.size() == first.shape.size();
    for (std::size_t i = 0; agree && i < first.shape.size(); ++i)
      agree = i == free_axis || other.shape[i] == first.shape[i];
    if (!agree)
      fail(op, fmt::format("values cannot be joined: the first is {} and number {} is {}", to_string(first), k + 1,
                           to_string(other)));
  }
  return first;
}

}  // namespace

Types infer_reshape(const OpView& op) {
  const TensorType& x = op.type("x");
  Shape shape = op.integers("shape");
  const std::int64_t elements = elements_in(op, x.shape);
  std::size_t open = shape.size();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) {
      if (i >= x.shape.size())
        fail(op, fmt::format("shape has 0 (copy) at {}, but x has no such axis: {}", i, describe(op, {"x"})));
      shape[i] = x.shape[i];
    } else if (shape[i] == -1) {
      if (open != shape.size()) fail(op, "shape has -1 (infer) more than once");
      open = i;
      shape[i] = 1;
    }
  }
  const std::int64_t known = elements_in(op, shape);
  if (open != shape.size() && known > 0 && elements % known == 0) shape[open] = elements / known;
  if (elements_in(op, shape) != elements)
    fail(op, fmt::format("cannot reshape {} to {}: {} elements do not fill it", to_string(x),
                         to_string(op.integers("shape")), elements));
  return {{x.dtype, shape}};
}

Types infer_transpose(const OpView& op) {
  const TensorType& x = op.type("x");
  const auto perm = op.integers("perm");
  require_length(op, "perm", perm, x.shape.size());
  TensorType type{x.dtype, {}};
  for (const std::size_t axis : axes_in(op, perm, x.shape.size())) type.shape.push_back(x.shape[axis]);
  return {type};
}

Types infer_expand_dims(const OpView& op) {
  TensorType type = op.type("x");
  const auto given = op.integers("axes");
  if (given.size() > kMaxRank)
    fail(op, fmt::format("axes has {} elements, at most {} are supported", given.size(), kMaxRank));
  auto axes = axes_in(op, given, type.shape.size() + given.size());
  std::sort(axes.begin(), axes.end());
  for (const std::size_t axis : axes) type.shape.insert(type.shape.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return {type};
}

Types infer_squeeze(const OpView& op) {
  const TensorType& x = op.type("x");
  const auto axes = axes_of(op);
  TensorType type{x.dtype, {}};
  for (std::size_t i = 0; i < x.shape.size(); ++i) {
    const bool squeezed = std::binary_search(axes.begin(), axes.end(), i);
    if (squeezed && x.shape[i] != 1) fail(op, fmt::format("axis {} does not have size 1: {}", i, describe(op, {"x"})));
    if (!squeezed) type.shape.push_back(x.shape[i]);
  }
  return {type};
}

std::vector<SliceAxis> slice_geometry(const OpView& op) {
  const Shape& shape = op.type("x").shape;
  return op.kind() == OpKind::slice_by_size ? by_size(op, shape) : by_index(op, shape);
}

Types infer_slice(const OpView& op) {
  TensorType type{op.type("x").dtype, {}};
  for (const SliceAxis& axis : slice_geometry(op))
    if (!axis.squeezed) type.shape.push_back(axis.count);
  return {type};
}

Types infer_concat(const OpView& op) {
  const std::size_t axis = axis_of(op);
  const bool interleave = op.flag("interleave", false);
  TensorType type = joined_type(op, interleave ? kMaxRank : axis);
  std::int64_t total = 0;
  for (const Operand& value : op.operands("values")) total += op.type(value).shape[axis];
  type.shape[axis] = total;
  return {type};
}

Types infer_split(const OpView& op) {
  const TensorType& x = op.type("x");
  const std::size_t axis = axis_of(op);
  std::vector<std::int64_t> sizes = op.integers("split_sizes");
  if (op.has("num_splits")) {
    const std::int64_t parts = op.integer("num_splits", 0);
    if (parts < 1 || parts > kMaxSplits) fail(op, fmt::format("num_splits is {}, expected 1 to {}", parts, kMaxSplits));
    if (sizes.empty()) {
      if (x.shape[axis] % parts != 0)
        fail(op, fmt::format("cannot split axis {} into {} equal parts: {}", axis, parts, describe(op, {"x"})));
      sizes.assign(static_cast<std::size_t>(parts), x.shape[axis] / parts);
    } else if (sizes.size() != static_cast<std::size_t>(parts)) {
      fail(op, fmt::format("num_splits is {}, but split_sizes has {} elements", parts, sizes.size()));
    }
  }
  if (sizes.empty()) fail(op, "num_splits or split_sizes must be given");

  Types types;
  std::int64_t total = 0;
  for (const std::int64_t size : sizes) {
    if (size < 1) fail(op, fmt::format("split_sizes has {}, expected positive sizes", size));
    total += size;
    types.push_back(x);
    types.back().shape[axis] = size;
  }
  if (total != x.shape[axis])
    fail(op, fmt::format("split_sizes add up to {} on axis {}: {}", total, axis, describe(op, {"x"})));
  return types;
}

Types infer_stack(const OpView& op) {
  const std::size_t axis = axis_of(op);
  TensorType type = joined_type(op, kMaxRank);
  type.shape.insert(type.shape.begin() + static_cast<std::ptrdiff_t>(axis),
                    static_cast<std::int64_t>(op.operands("values").size()));
  return {type};
}

std::vector<PadAxis> pad_geometry(const OpView& op) {
  const Shape& shape = op.type("x").shape;
  const auto list = op.integers("pad");
  if (list.size() % 2 != 0 || list.size() / 2 > shape.size())
    fail(op, fmt::format("argument 'pad' has {} elements, expected two for each of the last axes: {}", list.size(),
                         describe(op, {"x"})));
  std::vector<PadAxis> axes(shape.size());
  const std::size_t first = shape.size() - list.size() / 2;
  const std::string mode = op.text("mode", "constant");
  for (std::size_t i = first; i < shape.size(); ++i) {
    axes[i] = {list[2 * (i - first)], list[2 * (i - first) + 1]};
    if (axes[i].before < 0 || axes[i].after < 0) fail(op, "argument 'pad' has a negative element");
    if (mode == "reflect" && std::max(axes[i].before, axes[i].after) >= shape[i])
      fail(op, fmt::format("reflect pads by less than the axis has elements: {} and {} on axis {}, {}", axes[i].before,
                           axes[i].after, i, describe(op, {"x"})));
  }
  return axes;
}

Types infer_pad(const OpView& op) {
  const std::string mode = op.text("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "replicate")
    fail(op, fmt::format("argument 'mode' is \"{}\", expected one of constant, reflect, replicate", mode));
  TensorType type = op.type("x");
  const auto axes = pad_geometry(op);
  for (std::size_t i = 0; i < axes.size(); ++i) type.shape[i] += axes[i].before + axes[i].after;
  return {type};
}

Types infer_tile(const OpView& op) {
  TensorType type = op.type("x");
  const auto reps = op.integers("reps");
  require_length(op, "reps", reps, type.shape.size());
  for (std::size_t i = 0; i < reps.size(); ++i) {
    if (reps[i] < 1) fail(op, fmt::format("reps must be positive, found {} on axis {}", reps[i], i));
    type.shape[i] *= reps[i];
  }
  return {type};
}

Types infer_gather(const OpView& op) {
  const TensorType& x = op.type("x");
  const Shape& indices = op.type("indices").shape;
  const std::size_t axis = axis_of(op);
  const std::int64_t batch = op.integer("batch_dims", 0);
  if (batch < 0 || static_cast<std::size_t>(batch) > std::min(axis, indices.size()) ||
      !std::equal(indices.begin(), indices.begin() + batch, x.shape.begin()))
    fail(op, fmt::format("the first batch_dims ({}) axes of x and indices must agree and lie before axis {}: {}", batch,
                         axis, describe(op, {"x", "indices"})));
  const auto at = x.shape.begin() + static_cast<std::ptrdiff_t>(axis);
  Shape shape(x.shape.begin(), at);
  shape.insert(shape.end(), indices.begin() + batch, indices.end());
  shape.insert(shape.end(), at + 1, x.shape.end());
  return {{x.dtype, shape}};
}

Types infer_gather_along_axis(const OpView& op) {
  const TensorType& x = op.type("x");
  const Shape& indices = op.type("indices").shape;
  const std::size_t axis = axis_of(op);
  bool agree = indices.size() == x.shape.size();
  for (std::size_t i = 0; agree && i < indices.size(); ++i) agree = i == axis || indices[i] == x.shape[i];
  if (!agree)
    fail(op, fmt::format("x and indices must agree on all axes but {}: {}", axis, describe(op, {"x", "indices"})));
  return {{x.dtype, indices}};
}

Types infer_shape(const OpView& op) { return {{DType::int32, {static_cast<std::int64_t>(op.type("x").shape.size())}}}; }

}  // namespace ane::mil
