#pragma once

#include "ane/mil/program.h"

#include "personas.h"

namespace ane::fakes {

/// `program` with operations behind each product and slice that give their results the faults of `persona`, so that the
/// host device computes what that engine would. Unchanged if the persona has no such faults.
[[nodiscard]] mil::Program with_arithmetic_of(const Persona& persona, const mil::Program& program);

}  // namespace ane::fakes
