#include "lower/lower.h"

#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::DType;
using mil::OpKind;

/// Throws unless the device can hold and compute with values of `type`.
void check_type(const mil::TensorType& type, std::string_view what) {
  switch (type.dtype) {
    case DType::uint32:
    case DType::int64:
    case DType::uint64:
    case DType::string:
      throw Error(fmt::format("{} is {}: the host device computes with fp16, fp32, bool and integers up to int32", what,
                              mil::to_string(type)));
    default:
      break;
  }
  if (mil::element_count(type.shape) == 0) throw Error(fmt::format("{} has no elements", what));
}

}  // namespace

Lowering::Lowering(const mil::Function& function)
    : function_(function), placement_(place_values(function, builder_)), views_(function.values.size()) {
  for (std::size_t i = 0; i < function.inputs.size(); ++i) {
    const mil::Value& input = function.value(function.inputs[i]);
    check_type(input.type, fmt::format("input '{}'", input.name));
    publish(function.inputs[i], builder_.port(Space::input, i, input.type));
  }
  for (const mil::ValueId id : function.outputs) {
    check_type(function.value(id).type, fmt::format("output '{}'", function.value(id).name));
  }
}

Graph Lowering::run() && {
  for (const mil::Operation& op : function_.operations) {
    if (op.kind == OpKind::constant) continue;  // created on demand
    if (placement_.dissolved.contains(op.results.front())) continue;
    try {
      for (const mil::ValueId result : op.results) check_type(type(result), "the result");
      operation(Op(function_, op));
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      throw CompileError(fmt::format("line {}, column {}: op '{}' ({}): {}", op.where.line, op.where.column, op.name,
                                     mil::name(op.kind), error.what()));
    }
  }
  // Constants without users: outputs, and parts of outputs.
  for (const auto& [value, places] : placement_.copies) {
    if (!views_[value]) static_cast<void>(operand(mil::Operand(value)));
  }
  return std::move(builder_).finish();
}

void Lowering::operation(const Op& op) {
  switch (op.kind()) {
    case OpKind::conv:
      return conv(op);
    case OpKind::matmul:
      return matmul(op);
    case OpKind::linear:
      return linear(op);
    case OpKind::einsum:
      return einsum(op);
    case OpKind::scaled_dot_product_attention:
      return attention(op);
    case OpKind::softmax:
      return softmax(op);
    case OpKind::reduce_sum:
    case OpKind::reduce_mean:
    case OpKind::reduce_max:
    case OpKind::reduce_min:
    case OpKind::reduce_sum_square:
    case OpKind::reduce_l2_norm:
      return reduce(op);
    case OpKind::reduce_argmax:
    case OpKind::reduce_argmin:
      return reduce_arg(op);
    case OpKind::layer_norm:
      return layer_norm(op);
    case OpKind::topk:
      return topk(op);
    case OpKind::max_pool:
    case OpKind::avg_pool:
      return pool(op);
    case OpKind::reshape:
    case OpKind::expand_dims:
    case OpKind::squeeze:
    case OpKind::identity:
      return reshape(op);
    case OpKind::transpose:
      return publish(op.operation().results.front(), permuted(operand(op, "x"), transpose_perm(op)));
    case OpKind::slice_by_size:
    case OpKind::slice_by_index:
      return slice(op);
    case OpKind::split:
      return split(op);
    case OpKind::concat:
    case OpKind::stack:
      return join(op);
    case OpKind::pad:
      return pad(op);
    case OpKind::tile:
      return tile(op);
    case OpKind::gather:
      return gather(op);
    case OpKind::gather_along_axis:
      return gather_along_axis(op);
    case OpKind::range_1d:
      return range(op);
    case OpKind::shape:
      return shape(op);
    case OpKind::quantize:
      return quantize(op);
    case OpKind::dequantize:
    case OpKind::constexpr_affine_dequantize:
      return dequantize(op);
    case OpKind::constexpr_lut_to_dense:
      return lut_to_dense(op);
    case OpKind::constexpr_sparse_to_dense:
      return sparse_to_dense(op);
    default:
      return elementwise(op);
  }
}

View Lowering::operand(const mil::Operand& operand) {
  if (const auto* written = std::get_if<mil::Constant>(&operand)) return constant(*written);
  const mil::ValueId value = std::get<mil::ValueId>(operand);
  if (!views_[value]) {
    const mil::Constant* const written = mil::constant_of(function_, operand);
    if (written == nullptr) throw Error(fmt::format("'{}' has no value", function_.value(value).name));
    publish(value, constant(*written));
  }
  return *views_[value];
}

View Lowering::constant(const mil::Constant& constant) {
  if (const auto* ref = std::get_if<mil::BlobRef>(&constant.data)) {
    check_type(constant.type, "a constant");
    return builder_.blob(*ref, constant.type);
  }
  return builder_.literal(constant);
}

GraphBuilder::Target Lowering::target(mil::ValueId value, const Dims& shape) const {
  GraphBuilder::Target target;
  if (const auto home = placement_.homes.find(value); home != placement_.homes.end()) {
    target.home = reshaped(home->second, shape);
  }
  const auto order = placement_.orders.find(value);
  if (order != placement_.orders.end() && order->second.size() == shape.size()) target.order = order->second;
  return target;
}

void Lowering::define(mil::ValueId value, const MicroOp& op, std::vector<View> operands,
                      const std::optional<View>& in_place) {
  const mil::TensorType& result = type(value);
  bool constant = true;
  for (const View& view : operands) constant = constant && builder_.is_constant(view);
  if (constant) return publish(value, builder_.elementwise(op, std::move(operands), result.shape, result.dtype));
  GraphBuilder::Target place = target(value, result.shape);
  if (!place.home) place.home = in_place;
  if (const auto copies = placement_.copies.find(value); copies != placement_.copies.end()) {
    place.copies = copies->second;
  }
  views_[value] = builder_.elementwise(op, std::move(operands), result.shape, result.dtype, place);
}

void Lowering::publish(mil::ValueId value, const View& view) {
  views_[value] = view;
  const auto copy_to = [&](const View& place) {
    return builder_.elementwise(MicroOp{}, {view}, place.shape, type(value).dtype,
                                {.home = place, .copies = {}, .order = {}});
  };
  if (const auto copies = placement_.copies.find(value); copies != placement_.copies.end()) {
    for (const View& place : copies->second) static_cast<void>(copy_to(place));
  }
  const auto home = placement_.homes.find(value);
  if (home != placement_.homes.end() && !same_elements(home->second, view)) views_[value] = copy_to(home->second);
}

void Lowering::finish(mil::ValueId value, const View& product, const std::optional<View>& bias) {
  if (!bias && !rounds(value)) return publish(value, product);
  MicroOp op{.kind = bias ? OpKind::add : OpKind::identity, .round = rounds(value)};
  std::vector<View> operands{product};
  if (bias) operands.push_back(*bias);
  define(value, op, std::move(operands), product);
}

View Lowering::shaped(const View& view, const Dims& shape) {
  const std::optional<View> same = reshaped(view, shape);
  return same ? *same : *reshaped(builder_.dense(view), shape);
}

View Lowering::compute(OpKind kind, std::vector<View> operands, const Dims& shape, float alpha) {
  return builder_.elementwise({.kind = kind, .alpha = alpha}, std::move(operands), shape, DType::fp32);
}

Graph lower(const mil::Function& function) {
  try {
    return Lowering(function).run();
  } catch (const CompileError&) {
    throw;
  } catch (const Error& error) {  // for an input, which has no position in the text
    throw CompileError(error.what());
  }
}

}  // namespace ane::device::host
