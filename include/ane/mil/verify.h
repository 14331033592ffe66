#pragma once

#include <vector>

#include "ane/core/error.h"
#include "ane/mil/program.h"

namespace ane::mil {

/// An ill-typed operation; the message names it, the expected and the actual type. `where` is its position in the text,
/// if any.
class TypeError : public Error {
 public:
  TypeError(const std::string& message, SourceLocation where) : Error(message), where_(where) {}
  [[nodiscard]] SourceLocation where() const noexcept { return where_; }

 private:
  SourceLocation where_;
};

/// The result types of `operation` from its operands' types and compile-time arguments, by MIL's rules (ane.md 2.4,
/// numpy broadcasting). Throws TypeError for unknown, missing or ill-typed arguments. A constant's type is that of its
/// value.
[[nodiscard]] std::vector<TensorType> infer_types(const Function& function, const Operation& operation);

/// Checks a whole program: names are unique, operands are defined before use, declared types equal the inferred ones,
/// inline constants are complete. Throws TypeError for the first fault.
void verify(const Program& program);

}  // namespace ane::mil
