#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ane/mil/op_view.h"
#include "ane/mil/ops.h"

namespace ane::mil {

/// The kind of operand that a parameter accepts.
enum class Want : std::uint8_t {
  real,           ///< a tensor of fp16 or fp32
  number,         ///< or of int32
  any,            ///< of anything but strings
  numeric,        ///< or of another integer type
  indices,        ///< of an integer type
  eight_bits,     ///< of int8 or uint8
  booleans,       ///< of bool
  mask,           ///< of bool or floats
  tuple,          ///< one or more tensors of one element type: values=(a, b)
  weights,        ///< a float tensor known at compile time; may be in a blob file
  quantized,      ///< the same of int8 or uint8
  stored,         ///< the same of floats, int8 or uint8
  bytes,          ///< the same of uint8
  real_scalar,    ///< a float known at compile time, of the element type of x if there is an x
  number_scalar,  ///< a float or int32 known at compile time
  integer,        ///< an integer known at compile time
  integers,       ///< a list of them
  flag,           ///< a bool known at compile time
  flags,          ///< a list of them
  text,           ///< a string known at compile time
  literal         ///< any constant, for `const`
};

enum class Presence : std::uint8_t { required, optional };

struct Parameter {
  std::string_view name;
  Want want;
  Presence presence = Presence::required;
};

/// Specification of an operation: its name in text, its parameters and the types of its results.
struct OpSpec {
  OpKind kind;
  std::string_view name;
  std::span<const Parameter> parameters;
  std::vector<TensorType> (*infer)(const OpView& op);
  bool in_brackets =
      false;  ///< the parameters are attributes in brackets: known at compile time, and so are the results
};

[[nodiscard]] std::span<const OpSpec> op_specs() noexcept;
[[nodiscard]] const OpSpec& op_spec(OpKind kind) noexcept;

}  // namespace ane::mil
