#include "ane/core/checked.h"

#include <cstdint>
#include <limits>

#include "support/catch.h"

namespace {

constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();

TEST_CASE("checked_mul gives the product or nullopt", "[core]") {
  CHECK(ane::checked_mul<std::uint64_t>(6, 7) == 42U);
  CHECK(ane::checked_mul<std::uint64_t>(kMax, 1) == kMax);
  CHECK(ane::checked_mul<std::uint64_t>(kMax, 0) == 0U);
  CHECK(ane::checked_mul<std::uint64_t>(1ULL << 32U, 1ULL << 32U) == std::nullopt);
  CHECK(ane::checked_mul<std::uint64_t>(kMax / 2 + 1, 2) == std::nullopt);
  CHECK(ane::checked_mul<std::int64_t>(std::numeric_limits<std::int64_t>::min(), -1) == std::nullopt);
  CHECK(ane::checked_mul<std::int64_t>(-3, 5) == -15);
}

TEST_CASE("ceil_div counts a partial part", "[core]") {
  CHECK(ane::ceil_div(12, 4) == 3);
  CHECK(ane::ceil_div(13, 4) == 4);
  CHECK(ane::ceil_div(1, 4) == 1);
  CHECK(ane::ceil_div(0, 4) == 0);
  CHECK(ane::ceil_div(kMax, std::uint64_t{2}) == kMax / 2 + 1);
}

TEST_CASE("checked_add gives the sum or nullopt", "[core]") {
  CHECK(ane::checked_add<std::uint64_t>(6, 7) == 13U);
  CHECK(ane::checked_add<std::uint64_t>(kMax, 0) == kMax);
  CHECK(ane::checked_add<std::uint64_t>(kMax, 1) == std::nullopt);
  CHECK(ane::checked_add<std::int32_t>(std::numeric_limits<std::int32_t>::max(), 1) == std::nullopt);
}

TEST_CASE("round_up gives the next multiple", "[core]") {
  CHECK(ane::round_up(0, 64) == 0);
  CHECK(ane::round_up(1, 64) == 64);
  CHECK(ane::round_up(64, 64) == 64);
  CHECK(ane::round_up(65, 64) == 128);
  CHECK(ane::round_up(7, 1) == 7);
}

}  // namespace
