#include <algorithm>
#include <cmath>
#include <limits>

#include "ane/mil/geometry.h"

#include "lower/lowering.h"

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
  // A vector's missing dimension is 1; leading dimensions are those of the result.
  const std::size_t matrix = (a.rank() == 1 ? 0U : 1U) + (b.rank() == 1 ? 0U : 1U);
  Dims shape(result.begin(), result.end() - static_cast<std::ptrdiff_t>(matrix));
  shape.push_back(a.rank() == 1 ? 1 : a.shape[a.rank() - 2]);
  shape.push_back(b.rank() == 1 ? 1 : b.shape[b.rank() - 1]);
  return shape;
}

/// Number of elements of the patches of x and of the padded x.
double elements_of_patches(const mil::ConvGeometry& geometry) {
  const auto channels = static_cast<double>(geometry.batch * geometry.in_channels);
  double padded = channels;
  double patches = channels;
  for (const mil::ConvDimension& dim : geometry.dimensions) {
    padded *= static_cast<double>(dim.in) + static_cast<double>(dim.pad_begin) + static_cast<double>(dim.pad_end);
    patches *= static_cast<double>(dim.kernel) * static_cast<double>(dim.out);
  }
  return std::max(padded, patches);
}

/// Limit of an operation's temporary elements, given the elements of its operands and result.
double temporary_elements(std::int64_t elements) {
  constexpr double kAlwaysAllowed = 1 << 22;
  constexpr double kTimesAsMany = 64;
  return std::max(kAlwaysAllowed, kTimesAsMany * static_cast<double>(elements));
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

void Lowering::conv(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const mil::ConvGeometry geometry = mil::conv_geometry(op);
  const View x = operand(op, "x");
  const View weight = operand(op, "weight");
  const Dims& shape = type(result).shape;
  const std::int64_t elements = element_count(x.shape) + element_count(weight.shape) + element_count(shape);
  const View y = elements_of_patches(geometry) > temporary_elements(elements)
                     ? builder_.convolution(x, weight, geometry, shape)
                     : patch_product(x, weight, geometry, result);
  std::optional<View> bias;
  if (op.has("bias")) {
    Dims aligned(x.rank() - 1, 1);
    aligned[0] = geometry.out_channels;
    bias = reshaped(operand(op, "bias"), aligned);
  }
  finish(result, y, bias);
}

/// A convolution as a product of the weight with the patches of x, which are a view of it that repeats elements where
/// they overlap: [N, groups, Co / groups, Ci / groups * kernel] x [N, groups, Ci / groups * kernel, positions].
View Lowering::patch_product(View x, const View& weight, const mil::ConvGeometry& geometry, mil::ValueId result) {
  std::vector<mil::PadAxis> padding(2);
  bool padded = false;
  for (const mil::ConvDimension& dim : geometry.dimensions) {
    padding.push_back({dim.pad_begin, dim.pad_end});
    padded = padded || dim.pad_begin > 0 || dim.pad_end > 0;
  }
  if (padded) x = builder_.padded(x, padding, PadMode::constant, 0);

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
  const View rows = *reshaped(builder_.dense(weight), Dims{geometry.groups, group_out, depth});
  const Dims shape{geometry.batch, geometry.groups, group_out, positions};
  const View c = builder_.product(rows, *columns, shape, 1.0F, type(result).dtype, target(result, shape));
  return shaped(c, type(result).shape);
}

/// softmax(Q K^T / sqrt(E) + mask) V as one operation: only its result is rounded. The queries are processed in blocks
/// that limit the size of the scores.
void Lowering::attention(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View query = operand(op, "query");
  const View key = swapped(operand(op, "key"));
  const View value = operand(op, "value");
  const Dims& out = type(result).shape;
  const std::size_t axis = out.size() - 2;
  const std::int64_t queries = out[axis];
  const double scores_of_query = static_cast<double>(element_count(query.shape) / (queries * query.shape.back())) *
                                 static_cast<double>(key.shape.back());
  const double allowed = temporary_elements(element_count(query.shape) + element_count(key.shape) +
                                            element_count(value.shape) + element_count(out));
  const auto block =
      static_cast<std::int64_t>(std::clamp(allowed / scores_of_query, 1.0, static_cast<double>(queries)));
  const GraphBuilder::Target place = target(result, out);
  if (block == queries) return finish(result, attended(op, query, key, value, place), std::nullopt);

  const View whole = place.home ? *place.home : builder_.allocate(mil::DType::fp32, out, /*constant=*/false);
  std::vector<View> parts;
  for (std::int64_t begin = 0; begin < queries; begin += block) {
    const std::int64_t size = std::min(block, queries - begin);
    const GraphBuilder::Target part{.home = sliced(whole, axis, begin, size), .copies = {}, .order = {}};
    View made = attended(op, sliced(query, axis, begin, size), key, value, part, begin);
    if (!same_elements(made, *part.home)) {
      made = builder_.elementwise(MicroOp{}, {made}, made.shape, mil::DType::fp32, part);
    }
    parts.push_back(made);
  }
  finish(result, builder_.joined(whole, parts), std::nullopt);
}

/// Attention of a block of queries, starting at `first`.
View Lowering::attended(const Op& op, const View& query, const View& key, const View& value,
                        const GraphBuilder::Target& place, std::int64_t first) {
  Dims shape(query.shape.begin(), query.shape.end() - 1);
  shape.push_back(key.shape.back());
  const auto width = static_cast<float>(query.shape.back());
  View scores = builder_.product(query, key, shape, 1.0F / std::sqrt(width), mil::DType::fp32);
  if (op.has("attn_mask")) {
    View mask = operand(op, "attn_mask");
    const std::size_t row = mask.rank() - std::min<std::size_t>(mask.rank(), 2);
    if (mask.rank() >= 2 && mask.shape[row] != 1) mask = sliced(mask, row, first, query.shape[query.rank() - 2]);
    if (op.type("attn_mask").dtype == mil::DType::boolean) {
      const View never = builder_.scalar(-std::numeric_limits<float>::infinity());
      scores = compute(OpKind::select, {mask, scores, never}, shape);
    } else {
      scores = compute(OpKind::add, {scores, mask}, shape);
    }
  }
  const View weights = builder_.softmax(scores, /*round=*/false);
  Dims out(query.shape.begin(), query.shape.end() - 1);
  out.push_back(value.shape.back());
  return builder_.product(weights, value, out, 1.0F, mil::DType::fp32, place);
}

}  // namespace ane::device::host
