#include "plan_memory.h"

#include "plan/plan.h"

namespace ane::device::host {

std::size_t plan_bytes(std::string_view mil_text) {
  const Plan plan = make_plan(mil_text, 1);
  return plan.arena_bytes + plan.constants_bytes + plan.staging_bytes;
}

}  // namespace ane::device::host
