#pragma once

#include <string>
#include <variant>

#include "ane/mil/op_view.h"
#include "ane/mil/program.h"

namespace ane::mil {

/// Calls visit(constant, argument) for every constant in the arguments and attributes of `operation`; `argument` is the
/// name of the argument or attribute. The constants are mutable if `operation` is.
template <typename AnyOperation, typename Visit>
void for_each_constant(AnyOperation& operation, const Visit& visit) {
  for (auto* list : {&operation.arguments, &operation.attributes})
    for (auto& argument : *list)
      for (auto& operand : argument.operands)
        if (auto* constant = std::get_if<Constant>(&operand)) visit(*constant, argument.name);
}

/// Calls visit(op, constant, ref, argument) for every constant of `program` that is stored in a blob file.
template <typename AnyProgram, typename Visit>
void for_each_blob(AnyProgram& program, const Visit& visit) {
  for (auto& function : program.functions)
    for (auto& operation : function.operations)
      for_each_constant(operation, [&](auto& constant, const std::string& argument) {
        if (auto* ref = std::get_if<BlobRef>(&constant.data))
          visit(OpView(function, operation), constant, *ref, argument);
      });
}

}  // namespace ane::mil
