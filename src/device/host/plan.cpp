#include "plan.h"

#include "ane/mil/text.h"

#include "lower.h"

namespace ane::device::host {

Plan make_plan(std::string_view mil_text, int threads) {
  const mil::Program program = mil::parse(mil_text);
  const mil::Function& function = program.main();
  return schedule(lower(function), function, threads);
}

}  // namespace ane::device::host
