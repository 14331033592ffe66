#include "ane/app/plan.h"

#include <tuple>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"

using namespace ane;

namespace {

model::KernelInfo kernel(int copies, bool is_trained, bool forward) {
  model::KernelInfo info;
  info.copies = copies;
  info.recompiled = is_trained ? copies : 0;
  info.forward = forward;
  return info;
}

constexpr int kFirst = 6;
constexpr int kLater = 5;

/// Counts restarts by simulating the run.
std::int64_t walked_restarts(int forward, std::int64_t updates, int budget) {
  std::int64_t restarts = 0;
  int used = 0;
  for (std::int64_t update = 0; update < updates; ++update) {
    if (used > 0 && used + kLater > budget) {
      ++restarts;
      used = 0;
    }
    used += used == 0 ? kFirst : kLater;
  }
  return restarts + (used + forward > budget ? 1 : 0);
}

std::int64_t walked_pipeline_restarts(int forward, std::int64_t updates, int budget) {
  std::int64_t restarts = 0;
  int used = 0;
  bool ahead = false;  // whether the batch's kernels are compiled
  for (std::int64_t batch = 0; batch < updates; ++batch) {
    if (batch != 1 && !ahead && used > 0) {
      ++restarts;
      used = 0;
    }
    if (used == 0) used = kFirst;
    ahead = batch > 0 && batch + 1 < updates && used + kLater <= budget;
    if (ahead) used += kLater;
  }
  return restarts + (used + forward > budget ? 1 : 0);
}

cli::Settings settings_of(std::int64_t updates) {
  cli::Settings settings;
  settings.steps = updates * 4 - 1;
  settings.accum_steps = 4;
  return settings;
}

}  // namespace

TEST_CASE("planned restarts equal those of a simulated run", "[app][plan]") {
  const std::vector<model::KernelInfo> kernels = {kernel(2, true, true), kernel(3, true, false),
                                                  kernel(1, false, false)};
  for (const int budget : {6, 7, 8, 10, 11, 12, 13, 16, 18, 100}) {
    for (const int updates : {1, 2, 3, 7, 10, 20, 21}) {
      for (const bool validates : {false, true}) {
        CAPTURE(budget, updates, validates);
        cli::Settings settings = settings_of(updates);
        const app::CompilePlan plan = app::plan_compiles(kernels, validates, settings, budget);
        CHECK(plan.first_round == kFirst);
        CHECK(plan.later_round == kLater);
        CHECK(plan.smallest_budget == kFirst);
        CHECK(plan.forward == (validates ? 2 : 0));
        CHECK(plan.updates == updates);
        CHECK(plan.restarts == walked_restarts(plan.forward, updates, budget));

        settings.pipeline = true;
        const app::CompilePlan pipeline = app::plan_compiles(kernels, validates, settings, budget);
        CHECK(pipeline.smallest_budget == kFirst + kLater);
        if (budget >= kFirst + kLater)
          CHECK(pipeline.restarts == walked_pipeline_restarts(plan.forward, updates, budget));
      }
    }
  }
}

TEST_CASE("a budget too small for an update has no restart plan", "[app][plan]") {
  CHECK(app::plan_compiles(std::vector{kernel(6, true, true)}, true, settings_of(25), 5).restarts == 0);
}

TEST_CASE("a pipeline that the ANE cannot hold is refused with the numbers", "[app][plan][pipeline]") {
  cli::Settings settings;
  const std::vector<model::KernelInfo> wide = {kernel(65, true, true), kernel(1, false, false)};
  const std::vector<model::KernelInfo> many = {kernel(60, true, true), kernel(1, false, false)};
  const std::vector<model::KernelInfo> merged = {kernel(48, true, true)};
  CHECK_NOTHROW(app::check_pipeline(wide, settings));
  settings.pipeline = true;
  CHECK_THROWS_AS(app::check_pipeline(wide, settings), UsageError);
  CHECK_THROWS_WITH(app::check_pipeline(wide, settings), ANE_CONTAINS("66 and 65") && ANE_CONTAINS("131 programs") &&
                                                             ANE_CONTAINS("127") && ANE_CONTAINS("--plan merged"));
  CHECK_THROWS_WITH(app::check_pipeline(many, settings),
                    ANE_CONTAINS("121 compiles") && ANE_CONTAINS("119") && ANE_CONTAINS("--plan merged"));
  CHECK_NOTHROW(app::check_pipeline(merged, settings));
}

TEST_CASE("the compiles that an engine allows a process", "[app][plan]") {
  cli::Settings settings;
  CHECK(app::engine_compile_limit(settings, {}) == 100);
  CHECK(app::engine_compile_limit(settings, {.measured_compiles = 43}) == 43);
  settings.max_compiles = 60;
  CHECK(app::engine_compile_limit(settings, {}) == 60);
  CHECK(app::engine_compile_limit(settings, {.measured_compiles = 43}) == 43);
  CHECK(app::engine_compile_limit(settings, {.measured_compiles = 200}) == 60);
}
