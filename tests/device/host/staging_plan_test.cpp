#include <algorithm>
#include <variant>

#include "ane/mil/text.h"

#include "plan/plan.h"
#include "staged_programs.h"
#include "support/catch.h"

namespace ane::device::host {
namespace {

using mil::DType;

TEST_CASE("rows of the input become a matrix without another copy than the staged one", "[device][host][staging]") {
  const std::int64_t out = GENERATE(as<std::int64_t>{}, 64, 18, 32);
  const Plan beside = make_plan(mil::print(product_of_columns(DType::fp16)), 1);
  const Plan below = make_plan(mil::print(product_of_rows(DType::fp16, out)), 1);
  const auto staged = [](const Plan& plan) {
    return std::ranges::count_if(plan.steps, [](const Step& step) { return std::holds_alternative<StagedCopy>(step); });
  };
  CHECK(staged(below) == 2);
  CHECK(staged(below) == staged(beside));
  CHECK(below.steps.size() == beside.steps.size());
}

}  // namespace
}  // namespace ane::device::host
