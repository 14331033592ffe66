#include "ane/mil/verify.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "arguments.h"
#include "check.h"
#include "infer.h"
#include "lexer.h"
#include "op_spec.h"

namespace ane::mil {
namespace {

using Names = std::unordered_set<std::string_view>;

void check_value(const Value& value, Names& names, SourceLocation where) {
  if (!is_identifier(value.name))
    throw TypeError(
        fmt::format("'{}' is not a valid name: names consist of letters, digits and '_' and do not begin with a digit",
                    value.name),
        where);
  if (!names.insert(value.name).second) throw TypeError(fmt::format("'{}' is defined twice", value.name), where);
  if (const auto fault = fault_of(value.type.shape))
    throw TypeError(fmt::format("'{}': {}", value.name, *fault), where);
}

void check_operand_order(const OpView& op, ValueId first_result) {
  for (const auto* list : {&op.operation().arguments, &op.operation().attributes})
    for (const Argument& argument : *list)
      for (const Operand& operand : argument.operands)
        if (const auto* id = std::get_if<ValueId>(&operand); id != nullptr && *id >= first_result)
          fail(op, fmt::format("argument '{}' is used before it is defined", argument.name));
}

void check_function(const Function& function) {
  Names names;
  ValueId next = 0;
  const auto take = [&](ValueId id, SourceLocation where) {
    if (id != next || id >= function.values.size())
      throw TypeError(fmt::format("function '{}': values are not numbered in order of definition", function.name),
                      where);
    check_value(function.values[next++], names, where);
  };
  for (const ValueId id : function.inputs) {
    take(id, {});
    if (function.value(id).type.dtype == DType::string)
      throw TypeError(fmt::format("input '{}' is a string; only tensors can be passed", function.value(id).name), {});
  }
  for (const Operation& operation : function.operations) {
    const ValueId first_result = next;
    for (const ValueId id : operation.results) take(id, operation.where);
    check_operand_order(OpView(function, operation), first_result);
    check_operation(function, operation);
  }
  if (next != function.values.size())
    throw TypeError(fmt::format("function '{}' has values without a definition", function.name), {});
  check_outputs(function);
}

}  // namespace

bool is_identifier(std::string_view name) noexcept {
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

std::vector<TensorType> infer_types(const Function& function, const Operation& operation) {
  const OpView op(function, operation);
  check_arguments(op);
  Types types = op_spec(op.kind()).infer(op);
  for (const TensorType& type : types)
    if (const auto fault = fault_of(type.shape)) fail(op, fmt::format("the result is too large: {}", *fault));
  return types;
}

void check_operation(const Function& function, const Operation& operation) {
  const OpView op(function, operation);
  const Types types = infer_types(function, operation);
  if (types.size() != operation.results.size())
    fail(op, fmt::format("it has {} results, but {} names", types.size(), operation.results.size()));
  for (std::size_t i = 0; i < types.size(); ++i) {
    const Value& value = function.value(operation.results[i]);
    if (value.type != types[i])
      fail(op, fmt::format("'{}' is declared as {}, but the operation gives {}", value.name, to_string(value.type),
                           to_string(types[i])));
  }
}

void check_outputs(const Function& function) {
  if (function.outputs.empty()) throw TypeError(fmt::format("function '{}' returns nothing", function.name), {});
  std::unordered_set<ValueId> seen;
  for (const ValueId id : function.outputs) {
    if (id >= function.values.size())
      throw TypeError(fmt::format("function '{}' returns a value that does not exist", function.name), {});
    const Value& value = function.value(id);
    if (!seen.insert(id).second)
      throw TypeError(fmt::format("function '{}' returns '{}' twice", function.name, value.name), {});
    if (value.type.dtype == DType::string)
      throw TypeError(fmt::format("function '{}' returns '{}', which is a string", function.name, value.name), {});
  }
}

void verify(const Program& program) {
  if (program.functions.empty()) throw TypeError("the program has no function", {});
  Names names;
  for (const Function& function : program.functions) {
    if (!is_identifier(function.name))
      throw TypeError(fmt::format("'{}' is not a valid function name", function.name), {});
    if (!names.insert(function.name).second)
      throw TypeError(fmt::format("function '{}' is defined twice", function.name), {});
    check_function(function);
  }
}

}  // namespace ane::mil
