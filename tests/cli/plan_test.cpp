#include "ane/cli/plan.h"

#include <tuple>
#include <vector>

#include "support/catch.h"

using namespace ane;

namespace {

model::KernelInfo kernel(int copies, bool has_weights, bool forward) {
  model::KernelInfo info;
  info.copies = copies;
  info.has_weights = has_weights;
  info.forward = forward;
  return info;
}

/// Restarts counted by walking through the run as the trainer does.
std::int64_t walked_restarts(int first, int later, int forward, std::int64_t updates, int budget) {
  std::int64_t restarts = 0;
  int used = 0;
  for (std::int64_t update = 0; update < updates; ++update) {
    if (used > 0 && used + later > budget) {
      ++restarts;
      used = 0;
    }
    used += used == 0 ? first : later;
  }
  return restarts + (used + forward > budget ? 1 : 0);
}

}  // namespace

TEST_CASE("planned restarts are those of a walk through the run", "[cli][plan]") {
  const std::vector<model::KernelInfo> kernels = {kernel(2, true, true), kernel(3, true, false),
                                                  kernel(1, false, false)};
  for (const int budget : {6, 7, 8, 10, 11, 12, 13, 16, 18, 100}) {
    for (const int updates : {1, 2, 3, 7, 10, 20, 21}) {
      for (const bool validates : {false, true}) {
        CAPTURE(budget, updates, validates);
        const cli::CompilePlan plan = cli::plan_compiles(kernels, validates, updates * 4 - 1, 4, budget);
        CHECK(plan.first_round == 6);
        CHECK(plan.later_round == 5);
        CHECK(plan.forward == (validates ? 2 : 0));
        CHECK(plan.updates == updates);
        CHECK(plan.restarts == walked_restarts(6, 5, plan.forward, updates, budget));
      }
    }
  }
}

TEST_CASE("a budget that holds no update has no plan of restarts", "[cli][plan]") {
  CHECK(cli::plan_compiles(std::vector{kernel(6, true, true)}, true, 100, 10, 5).restarts == 0);
}
