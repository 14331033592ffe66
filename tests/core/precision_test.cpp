#include "ane/core/precision.h"

#include <limits>

#include "support/catch.h"

TEST_CASE("to_fp32 rounds, and rejects subnormal and infinite results", "[core]") {
  using ane::to_fp32;
  CHECK(to_fp32(0) == 0.0F);
  CHECK(to_fp32(0.99999998) == 1.0F);
  CHECK(to_fp32(1.0 - 1.0 / (1 << 24)) == 1.0F - 1.0F / (1 << 24));
  CHECK(to_fp32(-3.5) == -3.5F);
  CHECK(to_fp32(double{std::numeric_limits<float>::min()}) == std::numeric_limits<float>::min());
  CHECK(to_fp32(1e-39) == std::nullopt);  // subnormal
  CHECK(to_fp32(1e-46) == std::nullopt);  // 0
  CHECK(to_fp32(-1e-300) == std::nullopt);
  CHECK(to_fp32(1e39) == std::nullopt);  // infinite
  CHECK(to_fp32(std::numeric_limits<double>::quiet_NaN()) == std::nullopt);
}
