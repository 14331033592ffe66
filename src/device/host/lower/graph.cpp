#include "lower/graph.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/mil/types.h"

namespace ane::device::host {
namespace {

std::vector<std::size_t> row_major(std::size_t rank) {
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

/// The view with repeated dimensions reduced to size 1.
View without_repeats(View view) {
  for (std::size_t i = 0; i < view.rank(); ++i) {
    if (view.strides[i] == 0) view.shape[i] = 1;
  }
  return view;
}

bool is_one_matrix(const View& view) {
  for (std::size_t i = 0; i + 2 < view.rank(); ++i) {
    if (view.shape[i] != 1 && view.strides[i] != 0) return false;
  }
  return true;
}

View swapped_sides(View matrix) {
  const std::size_t r = matrix.rank();
  std::swap(matrix.shape[r - 1], matrix.shape[r - 2]);
  std::swap(matrix.strides[r - 1], matrix.strides[r - 2]);
  return matrix;
}

/// Whether the dimensions of `view` that matter are laid out in `order`.
bool lies_in(const View& view, std::span<const std::size_t> order) {
  std::int64_t previous = 0;
  for (const std::size_t dim : order) {
    if (view.shape[dim] == 1 || view.strides[dim] == 0) continue;
    if (previous != 0 && view.strides[dim] > previous) return false;
    previous = view.strides[dim];
  }
  return true;
}

}  // namespace

BufferId GraphBuilder::add_buffer(const Buffer& buffer) {
  graph_.buffers.push_back(buffer);
  return static_cast<BufferId>(graph_.buffers.size() - 1);
}

View GraphBuilder::port(Space space, std::size_t index, const mil::TensorType& type) {
  const mil::SurfaceLayout layout = mil::surface_layout(type);
  const auto pitch = static_cast<std::int64_t>(layout.row_bytes / mil::element_bytes(type.dtype));
  View view;
  view.shape = type.shape;
  view.strides = dense_strides(type.shape);
  if (!type.shape.empty()) {
    for (std::size_t i = 0; i + 1 < view.rank(); ++i) view.strides[i] = view.strides[i] / type.shape.back() * pitch;
  }
  view.buffer = add_buffer({.space = space,
                            .storage = type.dtype,
                            .elements = static_cast<std::int64_t>(layout.rows) * pitch,
                            .index = index});
  return joined(view, {});
}

View GraphBuilder::literal(const mil::Constant& constant) {
  View view;
  view.shape = constant.type.shape;
  view.strides = dense_strides(view.shape);
  const std::size_t offset = graph_.literals.size() * sizeof(std::int32_t);
  if (const auto* reals = std::get_if<std::vector<float>>(&constant.data)) {
    for (const float value : *reals) graph_.literals.push_back(std::bit_cast<std::int32_t>(value));
  } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&constant.data)) {
    for (const std::int64_t value : *integers) {
      if (!std::in_range<std::int32_t>(value)) throw Error(fmt::format("constant {} does not fit into int32", value));
      graph_.literals.push_back(static_cast<std::int32_t>(value));
    }
  } else {
    throw Error("strings cannot be operands");
  }
  view.buffer = add_buffer({.space = Space::literals,
                            .storage = held_as(constant.type.dtype),
                            .elements = element_count(view.shape),
                            .index = 0,
                            .offset = offset});
  return joined(view, {});
}

View GraphBuilder::scalar(float value) {
  const auto known = scalars_.find(value);
  if (known != scalars_.end()) return known->second;
  return scalars_.emplace(value, literal({{mil::DType::fp32, {}}, std::vector<float>{value}})).first->second;
}

View GraphBuilder::blob(const mil::BlobRef& ref, const mil::TensorType& type) {
  graph_.blobs.push_back({ref, type});
  View view;
  view.shape = type.shape;
  view.strides = dense_strides(type.shape);
  view.buffer = add_buffer({.space = Space::blob,
                            .storage = type.dtype,
                            .elements = element_count(type.shape),
                            .index = graph_.blobs.size() - 1});
  return joined(view, {});
}

View GraphBuilder::allocate(mil::DType dtype, const Dims& shape, std::span<const std::size_t> order, bool constant) {
  View view;
  view.shape = shape;
  view.strides = dense_strides(shape, order);
  view.buffer = add_buffer({.space = constant ? Space::constants : Space::arena,
                            .storage = held_as(dtype),
                            .elements = element_count(shape)});
  return joined(view, {});
}

View GraphBuilder::allocate(mil::DType dtype, const Dims& shape, bool constant) {
  return allocate(dtype, shape, row_major(shape.size()), constant);
}

View GraphBuilder::joined(const View& view, std::span<const View> parts) {
  Tensor tensor{view.buffer, {}, {}};
  for (const View& part : parts) {
    const Tensor& from = graph_.tensors[part.tensor];
    if (const NodeId* const producer = from.sole_producer()) {
      tensor.producers.push_back(*producer);
    } else if (!from.producers.empty() || !from.parts.empty()) {
      tensor.parts.push_back(part.tensor);
    }
  }
  graph_.tensors.push_back(std::move(tensor));
  View result = view;
  result.tensor = static_cast<TensorId>(graph_.tensors.size() - 1);
  return result;
}

bool GraphBuilder::is_constant(const View& view) const {
  const Space space = graph_.buffers[view.buffer].space;
  return space == Space::literals || space == Space::blob || space == Space::constants;
}

bool GraphBuilder::is_raw(const View& view) const {
  const Space space = graph_.buffers[view.buffer].space;
  return space == Space::blob || space == Space::input;
}

mil::DType GraphBuilder::held(const View& view) const { return held_as(graph_.buffers[view.buffer].storage); }

View GraphBuilder::write(const View& place, Work work, std::span<const View> reads, bool constant) {
  Node node{std::move(work), {}, place.buffer, constant};
  for (const View& read : reads) node.reads.push_back(read.tensor);
  graph_.nodes.push_back(std::move(node));
  View result = joined(place, {});
  graph_.tensors[result.tensor].producers = {static_cast<NodeId>(graph_.nodes.size() - 1)};
  return result;
}

View GraphBuilder::elementwise(const MicroOp& op, std::vector<View> operands, const Dims& shape, mil::DType dtype,
                               const Target& target) {
  for (View& operand : operands) operand = broadcast(operand, shape);
  const bool constant =
      !target.home && std::all_of(operands.begin(), operands.end(), [&](const View& v) { return is_constant(v); });
  // By default a result has the memory order of its first computed operand, so that both are traversed sequentially.
  const auto guide = std::find_if(operands.begin(), operands.end(),
                                  [&](const View& v) { return is_full(v) && (constant || !is_constant(v)); });
  const View place = target.home               ? *target.home
                     : guide != operands.end() ? allocate(dtype, shape, memory_order(*guide), constant)
                     : !target.order.empty()   ? allocate(dtype, shape, target.order, constant)
                                               : allocate(dtype, shape, constant);
  if (!constant) {
    for (View& operand : operands) operand = settle(operand, place);
  }
  ElementwiseNode node{op, operands, place, target.copies};
  return write(place, std::move(node), operands, constant);
}

/// Makes a constant operand readable at run time: not in a blob, and in the memory order of the result.
View GraphBuilder::settle(const View& operand, const View& result) {
  if (!is_constant(operand)) return operand;
  const std::vector<std::size_t> order = memory_order(result);
  if (!is_raw(operand) && lies_in(operand, order)) return operand;
  return copy(operand, order);
}

View GraphBuilder::copy(const View& view, std::span<const std::size_t> order, bool staged) {
  const View region = without_repeats(view);
  const bool constant = is_constant(view);
  Dims key{region.buffer, region.tensor, region.offset};
  for (const std::size_t dim : order) {
    if (region.shape[dim] == 1) continue;
    const bool continues = key.size() > 3 && key.back() == region.shape[dim] * region.strides[dim];
    if (continues) {
      key[key.size() - 2] *= region.shape[dim];
      key.back() = region.strides[dim];
    } else {
      key.insert(key.end(), {region.shape[dim], region.strides[dim]});
    }
  }
  const auto known = copies_.find(key);
  View place;
  if (known == copies_.end()) {
    const mil::DType dtype = held(view);
    place = allocate(dtype, region.shape, order, constant);
    Work work = ElementwiseNode{MicroOp{}, {region}, place, {}};
    if (staged) {
      const Buffer& source = graph_.buffers[view.buffer];
      graph_.buffers[place.buffer].space = Space::staging;
      work = StagedCopy(region, place, source.storage, source.index);
    }
    place = write(place, std::move(work), std::span(&region, 1), constant);
    copies_.emplace(std::move(key), place);
  } else {
    place = known->second;
    place.shape = region.shape;
    place.strides = dense_strides(region.shape, order);
  }
  place.shape = view.shape;
  for (std::size_t i = 0; i < view.rank(); ++i) {
    if (region.shape[i] == 1 && view.shape[i] != 1) place.strides[i] = 0;
  }
  return place;
}

View GraphBuilder::in_memory(const View& view) { return is_raw(view) ? copy(view, memory_order(view)) : view; }

/// Without gaps between its rows, a matrix is weights only if it shares the surface with what they are multiplied with,
/// and if that is not a constant, because then the constant is the weights.
bool GraphBuilder::is_staged(const View& view, bool may_be_weights) const {
  const Buffer& buffer = graph_.buffers[view.buffer];
  const bool is_float = buffer.storage == mil::DType::fp16 || buffer.storage == mil::DType::fp32;
  if (buffer.space != Space::input || !is_float || !StagedCopy::fits(view)) return false;
  return StagedCopy::has_gaps(view) || (may_be_weights && element_count(view.shape) < buffer.elements);
}

View GraphBuilder::in_memory_for_product(const View& view, const Preference& preference) {
  if (!is_staged(view, preference.may_be_weights)) return in_memory(view);
  std::vector<std::size_t> order = memory_order(view);
  if (preference.by_columns) {
    order = row_major(view.rank());
    std::swap(order.back(), order[order.size() - 2]);
  }
  return copy(view, order, /*staged=*/true);
}

View GraphBuilder::dense(const View& view) {
  if (!is_raw(view) && is_dense(view)) return view;
  View full = view;
  if (!is_full(view))
    full = elementwise(MicroOp{}, {view}, view.shape, held(view), {.home = {}, .copies = {}, .order = {}});
  return is_dense(full) && !is_raw(full) ? full : copy(full, row_major(view.rank()));
}

View GraphBuilder::product(View a, View b, const Dims& shape, float alpha, mil::DType dtype, const Target& target) {
  const bool integer = held_as(dtype) == mil::DType::int32;
  const auto prepare = [&](View& matrix, const Preference& preference) {
    const View original = in_memory_for_product(matrix, preference);
    matrix = integer || Product::fits(original) ? original : dense(original);
    Dims broadcast_shape(shape.begin(), shape.end() - 2);
    broadcast_shape.insert(broadcast_shape.end(), matrix.shape.end() - 2, matrix.shape.end());
    matrix = broadcast(matrix, broadcast_shape);
  };
  const auto lies_by_columns = [](const View& matrix) {
    const std::size_t r = matrix.rank();
    return matrix.strides[r - 2] == 1 && matrix.shape[r - 2] > 1;
  };
  prepare(a, {.by_columns = false, .may_be_weights = !is_constant(b)});
  // With a column-major left operand the result is computed as B^T A^T, for which a column-major B is best.
  prepare(b, {.by_columns = lies_by_columns(a), .may_be_weights = !is_constant(a)});
  const bool constant = is_constant(a) && is_constant(b);
  View c;
  if (target.home && !constant && (integer || Product::fits(*target.home))) {
    c = *target.home;
  } else if (!target.order.empty()) {
    c = allocate(dtype, shape, target.order, constant);
  } else {
    // In the order of the left operand: row-major or column-major.
    std::vector<std::size_t> order = row_major(shape.size());
    if (!is_constant(a) && lies_by_columns(a)) std::swap(order.back(), order[order.size() - 2]);
    c = allocate(dtype, shape, order, constant);
  }
  if (!integer && !Product::fits(c)) c = allocate(dtype, shape, constant);
  Product product(a, b, c, alpha, integer);
  std::vector<View> reads{a, b};
  const View& left = product.swaps_sides() ? b : a;
  if (!integer && !constant && is_constant(left) && is_one_matrix(left)) {
    reads.push_back(row_selection(product.swaps_sides() ? swapped_sides(left) : left));
    product.select_rows(reads.back());
  }
  return write(c, std::move(product), reads, constant);
}

View GraphBuilder::row_selection(const View& matrix) {
  const View rows =
      allocate(mil::DType::fp32, Dims{matrix.shape[matrix.rank() - 2], RowSelection::kElements}, /*constant=*/true);
  return write(rows, RowSelection(matrix, rows), std::span(&matrix, 1), /*constant=*/true);
}

View GraphBuilder::reduce(mil::OpKind kind, View in, float scale, bool round) {
  in = in_memory(in);
  if (!RowsOf::fits(in)) in = dense(in);
  View outer = in;
  outer.shape.pop_back();
  outer.strides.pop_back();
  const bool constant = is_constant(in);
  const View out = allocate(mil::DType::fp32, outer.shape, memory_order(outer), constant);
  return write(out, Reduction(kind, in, out, scale, round), std::span(&in, 1), constant);
}

View GraphBuilder::softmax(View in, bool round) {
  in = in_memory(in);
  if (!RowsOf::fits(in)) in = dense(in);
  const bool constant = is_constant(in);
  const View out = allocate(mil::DType::fp32, in.shape, memory_order(in), constant);
  return write(out, Softmax(in, out, round), std::span(&in, 1), constant);
}

View GraphBuilder::gather(const View& x, const View& indices, const Gather::Sizes& sizes, const Dims& shape,
                          std::string operation) {
  const std::array<View, 2> reads{dense(x), dense(indices)};
  const bool constant = is_constant(reads[0]) && is_constant(reads[1]);
  const View out = allocate(held(x), shape, constant);
  return write(out, Gather(reads[0], reads[1], out, sizes, std::move(operation)), reads, constant);
}

View GraphBuilder::ranking(const View& x, std::int64_t k, Ranking::Order order) {
  const View rows = dense(x);
  const bool constant = is_constant(rows);
  Dims shape = x.shape;
  shape.back() = k;
  const View out = allocate(mil::DType::int32, shape, constant);
  return write(out, Ranking(rows, out, order, held(x) == mil::DType::int32), std::span(&rows, 1), constant);
}

View GraphBuilder::window_fold(mil::OpKind kind, const View& x, std::size_t axis, const mil::ConvDimension& dimension) {
  const View in = dense(x);
  const bool constant = is_constant(in);
  Dims shape = in.shape;
  shape[axis] = dimension.out;
  const View out = allocate(mil::DType::fp32, shape, constant);
  return write(out, WindowFold(kind, in, out, axis, dimension), std::span(&in, 1), constant);
}

View GraphBuilder::expanded_by_table(const View& indices, const View& table, int bits, const Dims& shape) {
  const std::array<View, 2> reads{is_raw(indices) ? indices : dense(indices), dense(table)};
  const View out = allocate(held(table), shape, /*constant=*/true);
  return write(out, TableExpansion(reads[0], is_raw(reads[0]), reads[1], out, bits), reads, /*constant=*/true);
}

View GraphBuilder::expanded_by_mask(const View& mask, const View& values, const Dims& shape, std::string operation) {
  const std::array<View, 2> reads{is_raw(mask) ? mask : dense(mask), dense(values)};
  const View out = allocate(held(values), shape, /*constant=*/true);
  return write(out, MaskExpansion(reads[0], is_raw(reads[0]), reads[1], out, std::move(operation)), reads,
               /*constant=*/true);
}

View GraphBuilder::padded(const View& x, std::span<const mil::PadAxis> axes, PadMode mode, std::int32_t fill_bits) {
  const View in = in_memory(x);
  Dims shape = in.shape;
  for (std::size_t i = 0; i < axes.size(); ++i) shape[i] += axes[i].before + axes[i].after;
  const bool constant = is_constant(in);
  const View out = allocate(held(x), shape, constant);
  return write(out, Pad(in, out, axes, mode, fill_bits), std::span(&in, 1), constant);
}

View GraphBuilder::convolution(const View& x, const View& weight, const mil::ConvGeometry& geometry,
                               const Dims& shape) {
  const std::array<View, 2> reads{in_memory(x), dense(weight)};
  const bool constant = is_constant(reads[0]) && is_constant(reads[1]);
  const View out = allocate(mil::DType::fp32, shape, constant);
  return write(out, Convolution(reads[0], reads[1], out, geometry), reads, constant);
}

}  // namespace ane::device::host
