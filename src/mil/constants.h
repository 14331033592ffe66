#pragma once

#include <variant>
#include <vector>

#include "ane/mil/program.h"

namespace ane::mil {

/// Calls visit(constant) for every constant of `operation`: inline or an attribute.
template <typename Visit>
void for_each_constant(const Operation& operation, const Visit& visit) {
  for (const std::vector<Argument>* list : {&operation.arguments, &operation.attributes})
    for (const Argument& argument : *list)
      for (const Operand& operand : argument.operands)
        if (const auto* constant = std::get_if<Constant>(&operand)) visit(*constant);
}

}  // namespace ane::mil
