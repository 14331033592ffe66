#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"

namespace ane::mil {
namespace {

constexpr std::int64_t kBitsPerByte = 8;

/// `scale` and `zero_point` must be scalars, or vectors along `axis` of the argument called `data`.
void check_scales(const OpView& op, std::string_view data) {
  const Shape& shape = op.type(data).shape;
  for (const std::string_view argument : {"scale", "zero_point"}) {
    if (!op.has(argument) || op.type(argument).is_scalar()) continue;
    if (!op.has("axis")) fail(op, fmt::format("'{}' is not a scalar, so axis must be given", argument));
    const std::size_t axis = axis_in(op, op.integer("axis", 0), shape.size());
    if (op.type(argument).shape != Shape{shape[axis]})
      fail(op, fmt::format("'{}' must be a scalar or have one element for each index of axis {}: {}", argument, axis,
                           describe(op, {data, argument})));
  }
}

/// The type of a tensor of `shape` whose elements are packed, `bits` each, into the vector of bytes called `packed`.
TensorType unpacked(const OpView& op, std::string_view packed, std::int64_t bits, DType dtype) {
  const Shape shape = op.integers("shape");
  const std::int64_t count = elements_in(op, shape);
  const Shape wanted{(count * bits + kBitsPerByte - 1) / kBitsPerByte};
  if (op.type(packed).shape != wanted)
    fail(op,
         fmt::format("{} elements of {} bits take {} bytes, but {}", count, bits, wanted[0], describe(op, {packed})));
  return {dtype, shape};
}

void require_vector(const OpView& op, std::string_view argument) {
  if (op.type(argument).shape.size() != 1)
    fail(op, fmt::format("'{}' must be a vector: {}", argument, describe(op, {argument})));
}

/// Fails if an inline mask does not set as many bits as there are elements, or sets one past the last.
void check_mask(const OpView& op, std::int64_t count) {
  const Constant* mask = constant_of(op.function(), op.operand("mask"));
  const auto* bytes = mask == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(&mask->data);
  if (bytes == nullptr) return;
  std::int64_t set = 0;
  for (const std::int64_t byte : *bytes) set += std::popcount(static_cast<std::uint64_t>(byte));
  if (Shape{set} != op.type("nonzero_data").shape)
    fail(op, fmt::format("the mask sets {} bits: {}", set, describe(op, {"nonzero_data"})));
  const std::int64_t used = count % kBitsPerByte;
  if (used != 0 && bytes->back() >> used != 0) fail(op, "the mask sets bits past the last element");
}

}  // namespace

Types infer_quantize(const OpView& op) {
  const std::string type = op.text("output_dtype", "");
  require_one_of(op, "output_dtype", type, {"int8", "uint8"});
  require_same_dtype(op, {"input", "scale"});
  if (op.has("zero_point") && name(op.type("zero_point").dtype) != type)
    fail(op, fmt::format("zero_point must be of the output's type, {}: {}", type, describe(op, {"zero_point"})));
  check_scales(op, "input");
  return {{*dtype_from_name(type), op.type("input").shape}};
}

Types infer_dequantize(const OpView& op) {
  const std::string_view data = op.kind() == OpKind::dequantize ? "input" : "quantized_data";
  if (op.has("axis")) static_cast<void>(axis_in(op, op.integer("axis", 0), op.type(data).shape.size()));
  if (op.has("zero_point")) require_same_dtype(op, {data, "zero_point"});
  check_scales(op, data);
  return {{op.type("scale").dtype, op.type(data).shape}};
}

int lut_index_bits(const OpView& op) {
  require_vector(op, "lut");
  const std::int64_t elements = op.type("lut").shape[0];
  constexpr std::array<int, 5> kBits{1, 2, 4, 6, 8};
  const auto* const bits =
      std::find_if(kBits.begin(), kBits.end(), [&](int b) { return elements == std::int64_t{1} << b; });
  if (bits == kBits.end())
    fail(op, fmt::format("the table must have 2, 4, 16, 64 or 256 elements: {}", describe(op, {"lut"})));
  return *bits;
}

Types infer_lut_to_dense(const OpView& op) {
  return {unpacked(op, "indices", lut_index_bits(op), op.type("lut").dtype)};
}

Types infer_sparse_to_dense(const OpView& op) {
  require_vector(op, "nonzero_data");
  const TensorType type = unpacked(op, "mask", 1, op.type("nonzero_data").dtype);
  check_mask(op, element_count(type.shape));
  return {type};
}

}  // namespace ane::mil
