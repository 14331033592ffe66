#include "plan/form_regions.h"

#include <algorithm>

#include "ane/mil/builder.h"
#include "ane/mil/text.h"

#include "attention_program.h"
#include "plan/plan.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

std::ptrdiff_t regions_in(const Plan& plan) {
  return std::count_if(plan.steps.begin(), plan.steps.end(),
                       [](const Step& step) { return std::holds_alternative<Region>(step); });
}

TEST_CASE("an attention is one region whose scores take the memory of one head per worker", "[device][host]") {
  const int threads = GENERATE(1, 2);
  constexpr std::int64_t kHeads = 8;
  const Plan plan = make_plan(mil::print(attention_program(kHeads)), threads);
  CHECK(plan.steps.size() == 1);
  CHECK(regions_in(plan) == 1);
  constexpr std::size_t kHeadBytes = (3 * kSequence * kSequence + 8 * kHeadWidth * kSequence) * sizeof(float);
  CHECK(plan.arena_bytes <= static_cast<std::size_t>(threads) * kHeadBytes);
}

TEST_CASE("steps after a product run on the thread that computed its rows", "[device][host]") {
  mil::Builder b(mil::DType::fp16);
  const mil::Var x = b.input("x_in", {96, 64});
  const mil::Var y = b.input("y_in", {64, 32});
  const mil::Var gate = b.sigmoid("gate", b.matmul("product", x, y));
  const std::string text = mil::print(std::move(b).finish(std::vector{gate}));
  CHECK(regions_in(make_plan(text, 1)) == 0);
  CHECK(regions_in(make_plan(text, 2)) == 1);
}

}  // namespace
}  // namespace ane::device::host
