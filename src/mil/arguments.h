#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ane/mil/op_view.h"

namespace ane::mil {

/// Checks names, number, kinds and element types of all arguments against the operation's parameters, and that inline
/// constants are whole. Throws TypeError.
void check_arguments(const OpView& op);

struct IntegerRange {
  std::int64_t low;
  std::int64_t high;
};
/// What an element of an integer type (or bool) can be.
[[nodiscard]] IntegerRange range_of(DType dtype) noexcept;

/// What is wrong with a constant by itself: the number of its elements, their range, its shape; or nothing.
[[nodiscard]] std::optional<std::string> fault_of(const Constant& constant);
/// What is wrong with a shape by itself.
[[nodiscard]] std::optional<std::string> fault_of(const Shape& shape);

}  // namespace ane::mil
