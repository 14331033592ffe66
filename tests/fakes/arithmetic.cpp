#include "arithmetic.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/mil/geometry.h"
#include "ane/mil/op_view.h"

namespace ane::fakes {

namespace {

using mil::DType;
using mil::Operand;
using mil::OpKind;
using mil::Shape;
using mil::ValueId;

/// Up to this number of products, a matmul is taken apart into single products; a larger one into two halves, so that
/// the sum is seen in the middle and at the end.
constexpr std::int64_t kFewProducts = std::int64_t{1} << 18U;
constexpr float kHuge = 1e38F;  // times anything that overflows: infinite in fp32

mil::Constant scalar(float value) { return {{DType::fp32, {}}, std::vector<float>{value}}; }
mil::Constant text(std::string value) { return {{DType::string, {}}, std::vector<std::string>{std::move(value)}}; }
mil::Constant flag(bool value) { return {{DType::boolean, {}}, std::vector<std::int64_t>{value ? 1 : 0}}; }
mil::Constant integers(const Shape& values) {
  return {{DType::int32, {static_cast<std::int64_t>(values.size())}}, std::vector<std::int64_t>(values)};
}

/// Copies a function, value by value, and inserts operations.
class Rewriter {
 public:
  Rewriter(const Persona& persona, const mil::Function& from) : persona_(persona), from_(from) {
    to_.name = from.name;
    to_.opset = from.opset;
    for (const ValueId id : from.inputs) to_.inputs.push_back(renamed_[id] = add_value(from.value(id)));
  }

  mil::Function run() && {
    for (const mil::Operation& operation : from_.operations) copy(operation);
    for (const ValueId id : from_.outputs) to_.outputs.push_back(renamed_.at(id));
    return std::move(to_);
  }

 private:
  ValueId add_value(mil::Value value) {
    to_.values.push_back(std::move(value));
    return static_cast<ValueId>(to_.values.size() - 1);
  }

  ValueId append(OpKind kind, std::vector<std::pair<std::string, Operand>> arguments, mil::TensorType type) {
    mil::Operation operation;
    operation.kind = kind;
    operation.name = fmt::format("persona_{}", to_.values.size());
    for (auto& [name, operand] : arguments) operation.arguments.push_back({std::move(name), {std::move(operand)}});
    operation.results = {add_value({operation.name, std::move(type)})};
    to_.operations.push_back(std::move(operation));
    return to_.operations.back().results.front();
  }

  [[nodiscard]] const Shape& shape(ValueId id) const { return to_.value(id).type.shape; }

  ValueId unary(OpKind kind, ValueId x) { return append(kind, {{"x", x}}, to_.value(x).type); }
  ValueId binary(OpKind kind, ValueId x, Operand y) {
    return append(kind, {{"x", x}, {"y", std::move(y)}}, to_.value(x).type);
  }
  ValueId compare(OpKind kind, ValueId x, Operand y) {
    return append(kind, {{"x", x}, {"y", std::move(y)}}, {DType::boolean, shape(x)});
  }
  ValueId select(ValueId condition, Operand a, ValueId b) {
    return append(OpKind::select, {{"cond", condition}, {"a", std::move(a)}, {"b", b}}, to_.value(b).type);
  }
  ValueId cast(ValueId x, DType to) {
    if (to_.value(x).type.dtype == to) return x;
    return append(OpKind::cast, {{"x", x}, {"dtype", text(std::string(mil::name(to)))}}, {to, shape(x)});
  }

  /// The copy of an operand, as a value.
  ValueId value_of(const Operand& operand) {
    if (const auto* id = std::get_if<ValueId>(&operand)) return renamed_.at(*id);
    const auto& constant = std::get<mil::Constant>(operand);
    mil::Operation operation;
    operation.name = fmt::format("persona_{}", to_.values.size());
    operation.attributes.push_back({"val", {constant}});
    operation.results = {add_value({operation.name, constant.type})};
    to_.operations.push_back(operation);
    return operation.results.front();
  }

  void copy(const mil::Operation& operation) {
    const mil::OpView view(from_, operation);
    if (operation.kind == OpKind::matmul && persona_.overflow != Overflow::none) {
      finish(operation, cast(sum_of_products(view), view.result_type().dtype));
      return;
    }
    const ValueId result = copy_plainly(operation);
    if (operation.kind == OpKind::conv && persona_.overflow != Overflow::none)
      finish(operation, cast(stored(checked(cast(result, DType::fp32))), view.result_type().dtype));
    const bool slices = operation.kind == OpKind::slice_by_size || operation.kind == OpKind::slice_by_index;
    if (slices && persona_.slice_limit > 0 && mil::is_float(view.result_type().dtype) &&
        mil::slice_geometry(view).back().begin != 0)
      finish(operation, clamped(result));
  }

  ValueId copy_plainly(const mil::Operation& operation) {
    mil::Operation copied = operation;
    for (mil::Argument& argument : copied.arguments)
      for (Operand& operand : argument.operands)
        if (auto* id = std::get_if<ValueId>(&operand)) *id = renamed_.at(*id);
    for (ValueId& id : copied.results) id = renamed_[id] = add_value(from_.value(id));
    to_.operations.push_back(std::move(copied));
    return to_.operations.back().results.front();
  }

  /// `value` takes the place and the name of the operation's result.
  void finish(const mil::Operation& operation, ValueId value) {
    const ValueId result = operation.results.front();
    const auto plain = renamed_.find(result);
    if (plain != renamed_.end()) to_.values[plain->second].name += "_exact";
    to_.values[value].name = from_.value(result).name;
    renamed_[result] = value;
  }

  /// In fp32, as the engine would store it.
  ValueId sum_of_products(const mil::OpView& matmul) {
    const bool turn_x = matmul.flag("transpose_x", false);
    const bool turn_y = matmul.flag("transpose_y", false);
    const ValueId x = cast(value_of(matmul.operand("x")), DType::fp32);
    const ValueId y = cast(value_of(matmul.operand("y")), DType::fp32);
    const std::size_t x_axis = shape(x).size() - (turn_x ? 2 : 1);
    const std::size_t y_axis = shape(y).size() - (turn_y ? 1 : 2);
    const std::int64_t length = shape(x)[x_axis];
    const bool singly = mil::element_count(matmul.result_type().shape) * length <= kFewProducts;
    const std::int64_t step = singly ? 1 : persona_.checks_running_sums ? (length + 1) / 2 : length;
    std::optional<ValueId> sum;
    for (std::int64_t begin = 0; begin < length; begin += step) {
      const std::int64_t size = std::min(step, length - begin);
      const ValueId part = append(OpKind::matmul,
                                  {{"x", slice(x, x_axis, begin, size)},
                                   {"y", slice(y, y_axis, begin, size)},
                                   {"transpose_x", flag(turn_x)},
                                   {"transpose_y", flag(turn_y)}},
                                  {DType::fp32, matmul.result_type().shape});
      const ValueId product = rounded(part, singly);
      sum = sum ? binary(OpKind::add, *sum, product) : product;
      if (persona_.checks_running_sums) sum = checked(*sum);
    }
    return stored(checked(*sum));
  }

  ValueId slice(ValueId x, std::size_t axis, std::int64_t begin, std::int64_t size) {
    Shape first(shape(x).size(), 0);
    Shape extent = shape(x);
    first[axis] = begin;
    extent[axis] = size;
    return append(OpKind::slice_by_size, {{"x", x}, {"begin", integers(first)}, {"size", integers(extent)}},
                  {DType::fp32, extent});
  }

  ValueId rounded(ValueId product, bool is_single) {
    if (persona_.product_step > 0) {
      const ValueId steps = binary(OpKind::mul, product, scalar(1 / persona_.product_step));
      product = binary(OpKind::mul, unary(OpKind::round, steps), scalar(persona_.product_step));
    }
    if (!is_single || persona_.smallest_product == 0) return product;
    const ValueId vanishes = compare(OpKind::less, unary(OpKind::abs, product), scalar(persona_.smallest_product));
    return select(vanishes, binary(OpKind::mul, product, scalar(0)), product);
  }

  ValueId overflows(ValueId sum) {
    return compare(OpKind::greater_equal, unary(OpKind::abs, sum), scalar(persona_.overflow_limit));
  }
  /// Infinite once it overflows, whatever is added later.
  ValueId checked(ValueId sum) { return select(overflows(sum), binary(OpKind::mul, sum, scalar(kHuge)), sum); }

  /// What the program finds in place of a checked sum.
  ValueId stored(ValueId sum) {
    if (persona_.overflow == Overflow::zero)
      return select(overflows(sum), binary(OpKind::mul, unary(OpKind::sign, sum), scalar(0)), sum);
    if (!persona_.turns_nan_infinite) return sum;
    const ValueId zeros =
        binary(OpKind::mul, unary(OpKind::sign, cast(compare(OpKind::equal, sum, sum), DType::fp32)), scalar(0));
    const ValueId infinite = binary(OpKind::mul, binary(OpKind::add, zeros, scalar(kHuge)), scalar(kHuge));
    return select(compare(OpKind::not_equal, sum, sum), infinite, sum);
  }

  ValueId clamped(ValueId slice) {
    const ValueId wide = cast(slice, DType::fp32);
    const ValueId beyond = compare(OpKind::greater, unary(OpKind::abs, wide), scalar(persona_.slice_limit));
    return cast(select(beyond, binary(OpKind::mul, wide, scalar(kHuge)), wide), to_.value(slice).type.dtype);
  }

  const Persona& persona_;
  const mil::Function& from_;
  mil::Function to_;
  std::map<ValueId, ValueId> renamed_;
};

}  // namespace

mil::Program with_arithmetic_of(const Persona& persona, const mil::Program& program) {
  if (persona.overflow == Overflow::none && persona.slice_limit == 0) return program;
  mil::Program changed = program;
  for (mil::Function& function : changed.functions) function = Rewriter(persona, mil::Function(function)).run();
  return changed;
}

}  // namespace ane::fakes
