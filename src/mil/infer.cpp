#include "infer.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/error.h"
#include "ane/mil/verify.h"

#include "op_spec.h"

namespace ane::mil {

std::string label(const OpView& op) {
  const Operation& operation = op.operation();
  std::string_view shown = operation.name;
  if (shown.empty() && !operation.results.empty()) shown = op.function().value(operation.results.front()).name;
  return fmt::format("op '{}' ({})", shown, name(op.kind()));
}

void fail(const OpView& op, const std::string& problem) {
  throw TypeError(fmt::format("{}: {}", label(op), problem), op.operation().where);
}

std::string describe(const OpView& op, std::initializer_list<std::string_view> arguments) {
  std::string text;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments.begin()[i];
    if (i > 0) text += i + 1 == arguments.size() ? " and " : ", ";
    text += fmt::format("{} is {}", argument, to_string(op.type(argument)));
  }
  return text;
}

Shape broadcast(const OpView& op, std::initializer_list<std::string_view> arguments) {
  Shape common;
  for (const std::string_view argument : arguments) {
    const Shape& shape = op.type(argument).shape;
    if (shape.size() > common.size()) common.insert(common.begin(), shape.size() - common.size(), 1);
    const std::size_t offset = common.size() - shape.size();
    for (std::size_t i = 0; i < shape.size(); ++i) {
      std::int64_t& dim = common[offset + i];
      if (dim != shape[i] && dim != 1 && shape[i] != 1)
        fail(op, fmt::format("shapes do not broadcast: {}", describe(op, arguments)));
      if (dim == 1) dim = shape[i];
    }
  }
  return common;
}

void require_same_dtype(const OpView& op, std::initializer_list<std::string_view> arguments) {
  const DType first = op.type(*arguments.begin()).dtype;
  for (const std::string_view argument : arguments)
    if (op.type(argument).dtype != first) fail(op, fmt::format("element types disagree: {}", describe(op, arguments)));
}

std::size_t axis_in(const OpView& op, std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank)
    fail(op, rank == 0 ? fmt::format("axis {} does not exist: a scalar has no axes", axis)
                       : fmt::format("axis {} is out of range: rank {} allows {} to {}", axis, rank, -signed_rank,
                                     signed_rank - 1));
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

std::vector<std::size_t> axes_in(const OpView& op, const std::vector<std::int64_t>& axes, std::size_t rank) {
  std::vector<std::size_t> result;
  for (const std::int64_t axis : axes) {
    const std::size_t index = axis_in(op, axis, rank);
    if (std::find(result.begin(), result.end(), index) != result.end())
      fail(op, fmt::format("axis {} is given twice", axis));
    result.push_back(index);
  }
  return result;
}

void require_length(const OpView& op, std::string_view argument, const std::vector<std::int64_t>& list,
                    std::size_t length) {
  if (list.size() != length)
    fail(op, fmt::format("argument '{}' has {} elements, expected {}", argument, list.size(), length));
}

void require_one_of(const OpView& op, std::string_view argument, std::string_view value,
                    std::initializer_list<std::string_view> allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
    fail(op, fmt::format("argument '{}' is \"{}\", expected one of {}", argument, value,
                         fmt::join(allowed.begin(), allowed.end(), ", ")));
}

std::int64_t elements_in(const OpView& op, const Shape& shape) {
  try {
    return element_count(shape);
  } catch (const Error& error) {
    fail(op, error.what());
  }
}

bool is_compile_time(const OpView& op, const Operand& operand) {
  if (constant_of(op.function(), operand) != nullptr) return true;
  const Operation* source = defining_operation(op.function(), std::get<ValueId>(operand));
  return source != nullptr && op_spec(source->kind).in_brackets;
}

Types infer_constant(const OpView& op) { return {op.type("val")}; }

}  // namespace ane::mil
