#include "ane/device/budget.h"

#include "ane/core/error.h"

#include "support/catch.h"

namespace ane::device {
namespace {

TEST_CASE("try_take takes all requested compiles or none", "[device]") {
  CompileBudget budget(100);
  CHECK(budget.try_take(61));
  CHECK(budget.used() == 61);
  CHECK_FALSE(budget.can_take(61));
  CHECK_FALSE(budget.try_take(61));
  CHECK(budget.used() == 61);
  CHECK(budget.try_take(39));
  CHECK(budget.used() == budget.limit());
  CHECK_FALSE(budget.try_take(1));
  CHECK(budget.try_take(0));
}

TEST_CASE("a compile budget holds at least one compile", "[device]") {
  const int limit = GENERATE(0, -1, -2147483647);
  CHECK_THROWS_AS(CompileBudget(limit), UsageError);
  CHECK_THROWS_WITH(CompileBudget(limit), ANE_CONTAINS("at least 1") && ANE_CONTAINS(std::to_string(limit)));
}

}  // namespace
}  // namespace ane::device
