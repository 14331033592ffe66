#include <cmath>
#include <limits>
#include <vector>

#include "ane/math/nn.h"

#include "compare.h"
#include "support/catch.h"
#include "support/targets.h"

namespace {

using ane::math::normal_values;
using ane::math::ThreadPool;
using ane::test::on_every_target;

std::size_t any_size() { return GENERATE(0U, 1U, 2U, 7U, 16U, 31U, 1000U, 16'384U, 16'385U, 50'003U); }

TEST_CASE("add adds each element", "[math][elementwise]") {
  const std::size_t size = any_size();
  CAPTURE(size);
  const std::vector<float> x = normal_values(size, 1);
  const std::vector<float> y = normal_values(size, 2);
  std::vector<float> expected(size);
  for (std::size_t i = 0; i < size; ++i) expected[i] = x[i] + y[i];
  on_every_target([&] {
    ThreadPool pool(3);
    std::vector<float> found = y;
    ane::math::add(x, found, pool);
    CHECK(found == expected);
  });
}

TEST_CASE("scale multiplies each element", "[math][elementwise]") {
  const std::size_t size = any_size();
  CAPTURE(size);
  const std::vector<float> values = normal_values(size, 1);
  std::vector<float> expected(size);
  for (std::size_t i = 0; i < size; ++i) expected[i] = values[i] * 0.3F;
  on_every_target([&] {
    ThreadPool pool(3);
    std::vector<float> found = values;
    ane::math::scale(found, 0.3F, pool);
    CHECK(found == expected);
  });
}

TEST_CASE("sum_of_squares agrees with a plain sum in double", "[math][elementwise]") {
  const std::size_t size = any_size();
  CAPTURE(size);
  const std::vector<float> values = normal_values(size, 1);
  double expected = 0;
  for (const float value : values) expected += static_cast<double>(value) * static_cast<double>(value);
  on_every_target([&] {
    ThreadPool one(1);
    const double found = ane::math::sum_of_squares(values, one);
    CHECK(std::abs(found - expected) <= 1e-12 * expected);  // double, in another order
    for (const int threads : {2, 3}) {
      ThreadPool pool(threads);
      CHECK(ane::math::sum_of_squares(values, pool) == found);
    }
  });
}

TEST_CASE("sum_of_squares neither overflows nor hides non-finite values", "[math][elementwise]") {
  const std::size_t place = GENERATE(0U, 5U, 20'000U, 39'999U);
  CAPTURE(place);
  ThreadPool pool(2);
  std::vector<float> values(40'000, std::numeric_limits<float>::max());
  CHECK(ane::math::sum_of_squares(values, pool) ==
        Approx(40'000 * std::pow(static_cast<double>(std::numeric_limits<float>::max()), 2)));
  values[place] = -std::numeric_limits<float>::infinity();
  CHECK(ane::math::sum_of_squares(values, pool) == std::numeric_limits<double>::infinity());
  values[place] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(ane::math::sum_of_squares(values, pool)));
}

}  // namespace
