#include "ane/mil/op_view.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::mil {
namespace {

const Argument* find(const std::vector<Argument>& arguments, std::string_view name) noexcept {
  const auto found =
      std::find_if(arguments.begin(), arguments.end(), [&](const Argument& a) { return a.name == name; });
  return found == arguments.end() ? nullptr : &*found;
}

/// constexpr_* operations and `const` have their data in brackets.
const Argument* find(const Operation& operation, std::string_view name) noexcept {
  const Argument* argument = find(operation.arguments, name);
  return argument != nullptr ? argument : find(operation.attributes, name);
}

[[noreturn]] void fail(const OpView& op, std::string_view argument, std::string_view problem) {
  throw Error(fmt::format("op '{}' ({}): argument '{}' {}", op.operation().name, name(op.kind()), argument, problem));
}

/// The elements of a compile-time argument; null if it was not given.
template <typename T>
const std::vector<T>* elements(const OpView& op, std::string_view argument) {
  if (!op.has(argument)) return nullptr;
  const Constant* constant = constant_of(op.function(), op.operand(argument));
  if (constant == nullptr) fail(op, argument, "is not a compile-time constant");
  const auto* data = std::get_if<std::vector<T>>(&constant->data);
  if (data == nullptr || data->empty())
    fail(op, argument, fmt::format("is {}, of another kind than asked for", to_string(constant->type)));
  return data;
}

}  // namespace

bool OpView::has(std::string_view argument) const noexcept { return find(*operation_, argument) != nullptr; }

const std::vector<Operand>& OpView::operands(std::string_view argument) const {
  const Argument* found = find(*operation_, argument);
  if (found == nullptr) fail(*this, argument, "is missing");
  return found->operands;
}

const Operand& OpView::operand(std::string_view argument) const {
  const std::vector<Operand>& all = operands(argument);
  if (all.size() != 1) fail(*this, argument, "is not a single value");
  return all.front();
}

const TensorType& OpView::type(std::string_view argument) const { return type(operand(argument)); }

const TensorType& OpView::type(const Operand& operand) const {
  if (const auto* constant = std::get_if<Constant>(&operand)) return constant->type;
  return function_->value(std::get<ValueId>(operand)).type;
}

const TensorType& OpView::result_type(std::size_t index) const {
  return function_->value(operation_->results.at(index)).type;
}

std::int64_t OpView::integer(std::string_view argument, std::int64_t otherwise) const {
  const auto* data = elements<std::int64_t>(*this, argument);
  return data == nullptr ? otherwise : data->front();
}

std::vector<std::int64_t> OpView::integers(std::string_view argument, std::vector<std::int64_t> otherwise) const {
  const auto* data = elements<std::int64_t>(*this, argument);
  if (data != nullptr) return *data;
  return otherwise;
}

float OpView::real(std::string_view argument, float otherwise) const {
  const auto* data = elements<float>(*this, argument);
  return data == nullptr ? otherwise : data->front();
}

bool OpView::flag(std::string_view argument, bool otherwise) const { return integer(argument, otherwise ? 1 : 0) != 0; }

std::string OpView::text(std::string_view argument, std::string otherwise) const {
  const auto* data = elements<std::string>(*this, argument);
  if (data != nullptr) return data->front();
  return otherwise;
}

}  // namespace ane::mil
