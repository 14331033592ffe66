#include "ane/mil/ops.h"

#include "op_spec.h"

namespace ane::mil {

std::string_view name(OpKind kind) noexcept { return op_spec(kind).name; }

std::optional<OpKind> op_from_name(std::string_view name) noexcept {
  for (const OpSpec& spec : op_specs())
    if (spec.name == name) return spec.kind;
  return std::nullopt;
}

}  // namespace ane::mil
