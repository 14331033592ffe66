#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ane/mil/program.h"

namespace ane::mil {

/// An operation together with its function: named access to its operands and compile-time arguments, with MIL's
/// defaults (ane.md 2.4) filled in by the caller. For programs that `verify` has accepted; throws Error otherwise.
class OpView {
 public:
  OpView(const Function& function, const Operation& operation) : function_(&function), operation_(&operation) {}

  [[nodiscard]] OpKind kind() const noexcept { return operation_->kind; }
  [[nodiscard]] const Operation& operation() const noexcept { return *operation_; }
  [[nodiscard]] const Function& function() const noexcept { return *function_; }

  [[nodiscard]] bool has(std::string_view argument) const noexcept;
  /// The only operand of a required argument.
  [[nodiscard]] const Operand& operand(std::string_view argument) const;
  /// All operands of a tuple argument.
  [[nodiscard]] const std::vector<Operand>& operands(std::string_view argument) const;
  [[nodiscard]] const TensorType& type(std::string_view argument) const;
  [[nodiscard]] const TensorType& type(const Operand& operand) const;
  [[nodiscard]] const TensorType& result_type(std::size_t index = 0) const;

  // Compile-time arguments. Each throws Error if the argument is given but not an inline constant or const result.
  [[nodiscard]] std::int64_t integer(std::string_view argument, std::int64_t otherwise) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view argument,
                                                   std::vector<std::int64_t> otherwise = {}) const;
  [[nodiscard]] float real(std::string_view argument, float otherwise) const;
  [[nodiscard]] bool flag(std::string_view argument, bool otherwise) const;
  [[nodiscard]] std::string text(std::string_view argument, std::string otherwise) const;

 private:
  const Function* function_;
  const Operation* operation_;
};

}  // namespace ane::mil
