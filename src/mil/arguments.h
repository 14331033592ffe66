#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ane/mil/op_view.h"

namespace ane::mil {

/// Checks names, number, kinds and element types of all arguments against the operation's parameters, and that inline
/// constants are complete. Throws TypeError.
void check_arguments(const OpView& op);

struct IntegerRange {
  std::int64_t low;
  std::int64_t high;
};
/// The range of an integer type (or bool).
[[nodiscard]] IntegerRange range_of(DType dtype) noexcept;

/// The fault of a constant by itself, in the number of its elements, their range or its shape; nullopt if valid.
[[nodiscard]] std::optional<std::string> fault_of(const Constant& constant);
/// The fault of a shape by itself; nullopt if valid.
[[nodiscard]] std::optional<std::string> fault_of(const Shape& shape);

}  // namespace ane::mil
