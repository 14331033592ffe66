#pragma once

#include <vector>

#include "ane/core/error.h"
#include "ane/mil/program.h"

namespace ane::mil {

/// An ill-typed operation: which, what it expected, what it got. `where` is its place in the text, if it has one.
class TypeError : public Error {
 public:
  TypeError(const std::string& message, SourceLocation where) : Error(message), where_(where) {}
  [[nodiscard]] SourceLocation where() const noexcept { return where_; }

 private:
  SourceLocation where_;
};

/// The result types of `operation` from its operands' types and compile-time arguments, by MIL's rules (ane.md 2.4,
/// numpy broadcasting). Throws TypeError for unknown, missing or ill-typed arguments. A constant's type is its value's.
[[nodiscard]] std::vector<TensorType> infer_types(const Function& function, const Operation& operation);

/// Checks a whole program: every name once, every operand defined before use, every declared type the inferred one,
/// inline constants complete. Throws TypeError for the first fault.
void verify(const Program& program);

}  // namespace ane::mil
