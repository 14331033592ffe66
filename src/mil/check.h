#pragma once

#include "ane/mil/program.h"

namespace ane::mil {

/// Checks one operation whose results are the function's newest values: arguments, inference, and that the declared
/// types are the inferred ones. Throws TypeError.
void check_operation(const Function& function, const Operation& operation);

/// Checks what is left of a function once its operations are checked: its outputs. Throws TypeError.
void check_outputs(const Function& function);

/// Letters, digits and '_', not beginning with a digit: what MIL text can name.
[[nodiscard]] bool is_identifier(std::string_view name) noexcept;

}  // namespace ane::mil
