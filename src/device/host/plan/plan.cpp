#include "plan/plan.h"

#include "ane/mil/text.h"

#include "lower/lower.h"

namespace ane::device::host {

namespace {

const mil::Function& main_of(const mil::Program& program) try { return program.main(); } catch (const Error& error) {
  throw CompileError(error.what());
}

}  // namespace

Plan make_plan(std::string_view mil_text, int threads) {
  const mil::Program program = mil::parse(mil_text);
  const mil::Function& function = main_of(program);
  return schedule(lower(function), function, threads);
}

}  // namespace ane::device::host
