#include "arguments.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/error.h"
#include "ane/math/half.h"

#include "infer.h"
#include "op_spec.h"

namespace ane::mil {
namespace {

/// Maximum length of a list argument, so that hostile text cannot make each use of it expensive.
constexpr std::int64_t kMaxListLength = 1024;

bool is_integer(DType dtype) noexcept { return !is_float(dtype) && dtype != DType::boolean && dtype != DType::string; }

bool fits_fp16(float value) { return std::isnan(value) || math::to_float(math::to_half(value)) == value; }

std::optional<std::string> fault_of_elements(DType dtype, const std::vector<float>& values) {
  if (!is_float(dtype)) return fmt::format("a constant of type {} holds floats", name(dtype));
  if (dtype != DType::fp16) return std::nullopt;
  const auto bad = std::find_if_not(values.begin(), values.end(), fits_fp16);
  if (bad == values.end()) return std::nullopt;
  return fmt::format("a constant of type fp16 holds {}, which fp16 cannot represent", *bad);
}

std::optional<std::string> fault_of_elements(DType dtype, const std::vector<std::int64_t>& values) {
  if (!is_integer(dtype) && dtype != DType::boolean)
    return fmt::format("a constant of type {} holds integers", name(dtype));
  const IntegerRange range = range_of(dtype);
  const auto bad =
      std::find_if(values.begin(), values.end(), [&](std::int64_t v) { return v < range.low || v > range.high; });
  if (bad == values.end()) return std::nullopt;
  return fmt::format("a constant of type {} holds {}, expected {} to {}", name(dtype), *bad, range.low, range.high);
}

std::optional<std::string> fault_of_elements(DType dtype, const std::vector<std::string>&) {
  if (dtype == DType::string) return std::nullopt;
  return fmt::format("a constant of type {} holds strings", name(dtype));
}

/// The requirement of a parameter, for messages.
std::string_view wanted(Want want) {
  switch (want) {
    case Want::real:
      return "a tensor of fp16 or fp32";
    case Want::number:
      return "a tensor of fp16, fp32 or int32";
    case Want::any:
      return "a tensor";
    case Want::numeric:
      return "a tensor of numbers";
    case Want::indices:
      return "a tensor of integers";
    case Want::eight_bits:
      return "a tensor of int8 or uint8";
    case Want::booleans:
      return "a tensor of bool";
    case Want::mask:
      return "a tensor of bool, fp16 or fp32";
    case Want::tuple:
      return "a tuple of tensors";
    case Want::weights:
      return "a compile-time constant tensor of fp16 or fp32";
    case Want::quantized:
      return "a compile-time constant tensor of int8 or uint8";
    case Want::stored:
      return "a compile-time constant tensor of fp16, fp32, int8 or uint8";
    case Want::bytes:
      return "a compile-time constant tensor of uint8";
    case Want::real_scalar:
      return "a compile-time constant of fp16 or fp32, not a tensor";
    case Want::number_scalar:
      return "a compile-time constant of fp16, fp32 or int32, not a tensor";
    case Want::integer:
      return "a compile-time constant integer";
    case Want::integers:
      return "a compile-time constant list of integers";
    case Want::flag:
      return "a compile-time constant bool";
    case Want::flags:
      return "a compile-time constant list of bool";
    case Want::text:
      return "a compile-time constant string";
    case Want::literal:
      return "an inline constant";
  }
  return {};
}

/// The required rank of a compile-time argument; nullopt if any is allowed.
std::optional<std::size_t> wanted_rank(Want want) {
  switch (want) {
    case Want::real_scalar:
    case Want::number_scalar:
    case Want::integer:
    case Want::flag:
    case Want::text:
      return 0;
    case Want::integers:
    case Want::flags:
      return 1;
    default:
      return std::nullopt;
  }
}

bool suits(Want want, DType dtype) {
  switch (want) {
    case Want::real:
    case Want::weights:
    case Want::real_scalar:
      return is_float(dtype);
    case Want::number:
    case Want::number_scalar:
      return is_float(dtype) || dtype == DType::int32;
    case Want::numeric:
      return is_float(dtype) || is_integer(dtype);
    case Want::any:
    case Want::tuple:
      return dtype != DType::string;
    case Want::indices:
    case Want::integer:
    case Want::integers:
      return is_integer(dtype);
    case Want::booleans:
    case Want::flag:
    case Want::flags:
      return dtype == DType::boolean;
    case Want::mask:
      return is_float(dtype) || dtype == DType::boolean;
    case Want::eight_bits:
    case Want::quantized:
      return dtype == DType::int8 || dtype == DType::uint8;
    case Want::stored:
      return is_float(dtype) || dtype == DType::int8 || dtype == DType::uint8;
    case Want::bytes:
      return dtype == DType::uint8;
    case Want::text:
      return dtype == DType::string;
    case Want::literal:
      return true;
  }
  return false;
}

/// Whether the argument is a tensor that must be known at compile time, inline or in a blob file.
bool is_weight(Want want) {
  return want == Want::weights || want == Want::quantized || want == Want::stored || want == Want::bytes;
}

void check_operand(const OpView& op, const Parameter& parameter, const Operand& operand) {
  const TensorType& type = op.type(operand);
  const auto refuse = [&](std::string_view why) {
    fail(op, fmt::format("argument '{}' must be {}, but it is {}{}", parameter.name, wanted(parameter.want),
                         to_string(type), why));
  };
  const auto rank = wanted_rank(parameter.want);
  if (!suits(parameter.want, type.dtype) || (rank && type.shape.size() != *rank)) refuse("");
  if (is_weight(parameter.want) && !is_compile_time(op, operand)) refuse(" computed at run time");
  if (parameter.want == Want::literal && !std::holds_alternative<Constant>(operand)) refuse(" of another operation");
  if (!rank) return;

  const Constant* constant = constant_of(op.function(), operand);
  if (constant == nullptr) refuse(" computed at run time");
  if (std::holds_alternative<BlobRef>(constant->data)) refuse(" in a blob file; write it inline");
  if (*rank == 1 && type.shape[0] > kMaxListLength)
    fail(op, fmt::format("argument '{}' has {} elements, at most {} are allowed", parameter.name, type.shape[0],
                         kMaxListLength));
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&constant->data)) {
    const IntegerRange range = range_of(DType::int32);
    for (const std::int64_t value : *integers)
      if (value < range.low || value > range.high)
        fail(op,
             fmt::format("argument '{}' holds {}, expected {} to {}", parameter.name, value, range.low, range.high));
  }
  if (parameter.want == Want::real_scalar && op.has("x") && op.type("x").dtype != type.dtype)
    fail(op, fmt::format("element types disagree: {}", describe(op, {"x", parameter.name})));
}

/// Checks that operands exist and constants are complete, a precondition of all further checks.
void check_soundness(const OpView& op, const Argument& argument) {
  if (argument.is_tuple ? argument.operands.empty() : argument.operands.size() != 1)
    fail(op, fmt::format("argument '{}' has {} values", argument.name, argument.operands.size()));
  for (const Operand& operand : argument.operands) {
    if (const auto* constant = std::get_if<Constant>(&operand)) {
      if (const auto fault = fault_of(*constant)) fail(op, fmt::format("argument '{}': {}", argument.name, *fault));
    } else if (std::get<ValueId>(operand) >= op.function().values.size()) {
      fail(op, fmt::format("argument '{}' names a value that does not exist", argument.name));
    }
  }
}

void check_list(const OpView& op, const std::vector<Argument>& given, std::span<const Parameter> parameters) {
  for (const Argument& argument : given) check_soundness(op, argument);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Argument& argument = given[i];
    for (std::size_t j = 0; j < i; ++j)
      if (given[j].name == argument.name) fail(op, fmt::format("argument '{}' is given twice", argument.name));
    const auto parameter =
        std::find_if(parameters.begin(), parameters.end(), [&](const Parameter& p) { return p.name == argument.name; });
    if (parameter == parameters.end()) {
      std::vector<std::string_view> names;
      for (const Parameter& p : parameters) names.push_back(p.name);
      fail(op, fmt::format("unknown argument '{}'; it takes {}", argument.name, fmt::join(names, ", ")));
    }
    if (argument.is_tuple != (parameter->want == Want::tuple))
      fail(op, fmt::format("argument '{}' must be {}", argument.name, wanted(parameter->want)));
    for (const Operand& operand : argument.operands) check_operand(op, *parameter, operand);
  }
  for (const Parameter& parameter : parameters)
    if (parameter.presence == Presence::required && !op.has(parameter.name))
      fail(op, fmt::format("argument '{}' is missing: {}", parameter.name, wanted(parameter.want)));
}

}  // namespace

IntegerRange range_of(DType dtype) noexcept {
  using Limits = std::numeric_limits<std::int64_t>;
  switch (dtype) {
    case DType::boolean:
      return {0, 1};
    case DType::int8:
      return {-128, 127};
    case DType::uint8:
      return {0, 255};
    case DType::int16:
      return {-32768, 32767};
    case DType::uint16:
      return {0, 65535};
    case DType::int32:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case DType::uint32:
      return {0, std::numeric_limits<std::uint32_t>::max()};
    case DType::uint64:
      return {0, Limits::max()};
    default:
      return {Limits::min(), Limits::max()};
  }
}

std::optional<std::string> fault_of(const Shape& shape) {
  if (shape.size() > kMaxRank)
    return fmt::format("shape {} has rank {}, at most {} is supported", to_string(shape), shape.size(), kMaxRank);
  for (const std::int64_t dim : shape)
    if (dim < 1 || dim > kMaxDimension)
      return fmt::format("shape {} has dimension {}, expected 1 to {}", to_string(shape), dim, kMaxDimension);
  try {
    std::ignore = element_count(shape);
  } catch (const Error& error) {
    return error.what();
  }
  return std::nullopt;
}

std::optional<std::string> fault_of(const Constant& constant) {
  if (auto fault = fault_of(constant.type.shape)) return fault;
  if (const auto* blob = std::get_if<BlobRef>(&constant.data)) {
    if (constant.type.dtype == DType::string) return "a string cannot be in a blob file";
    if (blob->path.empty()) return "the path of a BLOBFILE is empty";
    return std::nullopt;
  }
  const auto check = [&](const auto& values) -> std::optional<std::string> {
    const auto expected = static_cast<std::size_t>(element_count(constant.type.shape));
    if (values.size() != expected)
      return fmt::format("a constant of type {} needs {} elements, found {}", to_string(constant.type), expected,
                         values.size());
    return fault_of_elements(constant.type.dtype, values);
  };
  if (const auto* floats = std::get_if<std::vector<float>>(&constant.data)) return check(*floats);
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&constant.data)) return check(*integers);
  return check(std::get<std::vector<std::string>>(constant.data));
}

void check_arguments(const OpView& op) {
  const OpSpec& spec = op_spec(op.kind());
  const std::span<const Parameter> none;
  check_list(op, op.operation().attributes, spec.in_brackets ? spec.parameters : none);
  check_list(op, op.operation().arguments, spec.in_brackets ? none : spec.parameters);
}

}  // namespace ane::mil
