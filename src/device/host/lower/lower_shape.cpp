#include <bit>
#include <string>

#include "ane/math/half.h"
#include "ane/mil/geometry.h"

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

PadMode pad_mode(const std::string& name) {
  if (name == "reflect") return PadMode::reflect;
  return name == "replicate" ? PadMode::replicate : PadMode::constant;
}

}  // namespace

/// Also expand_dims, squeeze and identity.
void Lowering::reshape(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  publish(result, shaped(operand(op, "x"), type(result).shape));
}

void Lowering::slice(const Op& op) {
  View view = operand(op, "x");
  const std::vector<mil::SliceAxis> axes = mil::slice_geometry(op);
  for (std::size_t i = 0; i < axes.size(); ++i) view = sliced(view, i, axes[i].begin, axes[i].count, axes[i].step);
  for (std::size_t i = axes.size(); i-- > 0;) {
    if (axes[i].squeezed) view = squeezed(view, i);
  }
  publish(op.operation().results.front(), view);
}

void Lowering::split(const Op& op) {
  const View x = operand(op, "x");
  const std::size_t axis = mil::axis_of(op);
  std::int64_t begin = 0;
  for (const mil::ValueId part : op.operation().results) {
    const std::int64_t size = type(part).shape[axis];
    publish(part, sliced(x, axis, begin, size));
    begin += size;
  }
}

/// concat and stack: copies the parts that are not written in place by their producer.
void Lowering::join(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View whole = placement_.homes.at(result);
  const std::vector<bool>& in_place = placement_.in_place.at(result);
  const std::vector<View> places = parts_of(op, whole);
  std::vector<View> parts;
  for (std::size_t i = 0; i < in_place.size(); ++i) {
    const View part = operand(op.operands("values")[i]);
    const View& place = places[i];
    parts.push_back(in_place[i] ? part
                                : builder_.elementwise(MicroOp{}, {part}, place.shape, type(result).dtype,
                                                       {.home = place, .copies = {}, .order = {}}));
  }
  publish(result, builder_.joined(whole, parts));
}

void Lowering::pad(const Op& op) {
  const View x = operand(op, "x");
  if (x.rank() == 0) return publish(op.operation().results.front(), x);
  const float fill = op.real("constant_val", 0);
  const bool real = mil::is_float(op.result_type().dtype);
  publish(op.operation().results.front(),
          builder_.padded(x, mil::pad_geometry(op), pad_mode(op.text("mode", "constant")),
                          real ? std::bit_cast<std::int32_t>(fill) : static_cast<std::int32_t>(fill)));
}

/// [a, b] tiled [r, s] is the view [r, a, s, b] that repeats along r and s, copied into [r * a, s * b].
void Lowering::tile(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View x = operand(op, "x");
  const mil::TensorType& whole = type(result);
  View repeated = x;
  repeated.shape.clear();
  repeated.strides.clear();
  for (std::size_t i = 0; i < x.rank(); ++i) {
    repeated.shape.insert(repeated.shape.end(), {whole.shape[i] / x.shape[i], x.shape[i]});
    repeated.strides.insert(repeated.strides.end(), {0, x.strides[i]});
  }
  publish(result, *reshaped(builder_.dense(repeated), whole.shape));
}

void Lowering::gather(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View x = operand(op, "x");
  const View indices = operand(op, "indices");
  const std::size_t axis = mil::axis_of(op);
  const auto batch = static_cast<std::size_t>(op.integer("batch_dims", 0));
  const std::span<const std::int64_t> shape(x.shape);
  Gather::Sizes sizes;
  sizes.batch = element_count(shape.first(batch));
  sizes.outer = element_count(shape.subspan(batch, axis - batch));
  sizes.axis = shape[axis];
  sizes.indices = element_count(std::span(indices.shape).subspan(batch));
  sizes.inner = element_count(shape.subspan(axis + 1));
  publish(result, builder_.gather(x, indices, sizes, type(result).shape, op.operation().name));
}

/// Computes each element independently, so that rounding errors do not accumulate.
void Lowering::range(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const mil::RangeGeometry geometry = mil::range_geometry(op);
  const auto element = [&](std::int64_t i) { return geometry.start + static_cast<double>(i) * geometry.step; };
  if (type(result).dtype == mil::DType::int32) {
    std::vector<std::int64_t> elements;
    for (std::int64_t i = 0; i < geometry.count; ++i) elements.push_back(static_cast<std::int64_t>(element(i)));
    return publish(result, builder_.literal({type(result), std::move(elements)}));
  }
  std::vector<float> elements;
  for (std::int64_t i = 0; i < geometry.count; ++i) elements.push_back(static_cast<float>(element(i)));
  if (rounds(result)) math::round_to_half(elements);
  publish(result, builder_.literal({type(result), std::move(elements)}));
}

void Lowering::shape(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  publish(result, builder_.literal({type(result), op.type("x").shape}));
}

}  // namespace ane::device::host
