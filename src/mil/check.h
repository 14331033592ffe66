#pragma once

#include "ane/mil/program.h"

namespace ane::mil {

/// Checks one operation whose results are the function's newest values: arguments, inference, and that the declared
/// types are the inferred ones. Throws TypeError.
void check_operation(const Function& function, const Operation& operation);

/// Checks a function's outputs, after its operations. Throws TypeError.
void check_outputs(const Function& function);

/// Whether `name` is a MIL identifier: letters, digits and '_', not beginning with a digit.
[[nodiscard]] bool is_identifier(std::string_view name) noexcept;

}  // namespace ane::mil
