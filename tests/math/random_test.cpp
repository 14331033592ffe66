#include "ane/math/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "support/catch.h"
#include "support/targets.h"

namespace {

using ane::math::CounterRandom;

constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();

// Computed independently, by a SplitMix64 that gives the published 6457827717110365317, 3203168211198807973 for state
// 1234567.
TEST_CASE("the generator gives known bits", "[math][known]") {
  struct Known {
    std::uint64_t seed, stream;
    std::array<std::uint64_t, 3> at_0_1_5;
  };
  const auto [seed, stream, expected] =
      GENERATE(Known{0, 0, {0x238275bc38fcbe91, 0xf89a2566b5822c54, 0x50a9c0499f748350}},
               Known{1, 0, {0xb18a02f46d8d86c3, 0xf8c5b62c83f707e8, 0xd869e8a32c145e9e}},
               Known{0, 1, {0x44e5b98100c67fb0, 0xa73822ac2ea54ab1, 0xf42cbc7f105151d7}},
               Known{42, 7, {0x55be888977820bef, 0x62cd1d983d0525e0, 0xa6799ea1898cd8b8}},
               Known{kMax, kMax, {0xf14a310831123e0a, 0x673f30f72147ad25, 0xa992093ae5f807d5}});
  CAPTURE(seed, stream);
  const CounterRandom random(seed, stream);
  CHECK(random.bits(0) == expected[0]);
  CHECK(random.bits(1) == expected[1]);
  CHECK(random.bits(5) == expected[2]);
}

TEST_CASE("the generator gives known uniform, bounded and normal values", "[math][known]") {
  const CounterRandom random(42, 7);
  constexpr std::array kUniform{0.33493855816005447, 0.3859423157382662, 0.5567030346525534, 0.9129538949006275};
  constexpr std::array<std::uint64_t, 4> kBelow1000{334, 385, 556, 912};
  constexpr std::array kNormal{-0.6810171248170439, 0.5932683822740032, 1.089482446625313, -0.6633692517714029};
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(random.uniform(i) == kUniform[i]);
    CHECK(random.below(1000, i) == kBelow1000[i]);
    CHECK(random.normal(i) == Approx(kNormal[i]).epsilon(1e-14));  // libraries differ in the last places of log and cos
  }
}

TEST_CASE("uniform values fill the unit interval evenly", "[math]") {
  const CounterRandom random(1, 2);
  constexpr std::size_t kCount = 200'000;
  double sum = 0;
  double least = 1;
  double most = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const double value = random.uniform(i);
    sum += value;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  CHECK(least >= 0.0);
  CHECK(least < 1e-4);
  CHECK(most < 1.0);
  CHECK(most > 1 - 1e-4);
  CHECK(std::abs(sum / kCount - 0.5) < 0.0032);  // five deviations of the mean, 5 / sqrt(12 * count)
}

TEST_CASE("bounded values are below the bound and equally frequent", "[math]") {
  const CounterRandom random(3, 4);
  CHECK(random.below(1, 0) == 0);
  CHECK(random.below(kMax, 9) < kMax);
  constexpr std::size_t kBound = 7;
  constexpr std::size_t kCount = 70'000;
  std::array<int, kBound> frequency{};
  for (std::size_t i = 0; i < kCount; ++i) ++frequency.at(random.below(kBound, i));
  for (const int found : frequency) CHECK(std::abs(found - 10'000) < 470);  // five deviations of a binomial count
}

TEST_CASE("normal values have the moments of the normal distribution", "[math]") {
  const auto stream = GENERATE(0U, 1U, 2U);
  CAPTURE(stream);
  const CounterRandom random(5, stream);
  constexpr std::size_t kCount = 200'000;
  double mean = 0;
  double square = 0;
  double cube = 0;
  double fourth = 0;
  double neighbours = 0;
  std::size_t beyond_2 = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const double value = random.normal(i);
    mean += value / kCount;
    square += std::pow(value, 2) / kCount;
    cube += std::pow(value, 3) / kCount;
    fourth += std::pow(value, 4) / kCount;
    neighbours += value * random.normal(i + 1) / kCount;
    beyond_2 += std::abs(value) > 2 ? 1 : 0;
  }
  // Five deviations of each mean: sqrt(1, 2, 15, 96, 1 / count).
  CHECK(std::abs(mean) < 0.0112);
  CHECK(std::abs(square - 1) < 0.0158);
  CHECK(std::abs(cube) < 0.0433);
  CHECK(std::abs(fourth - 3) < 0.1096);
  CHECK(std::abs(neighbours) < 0.0112);
  CHECK(static_cast<double>(beyond_2) / kCount == Approx(0.0455).epsilon(0.06));
}

TEST_CASE("an array of any length is filled with the generator's normals", "[math]") {
  const CounterRandom random(6, 0);
  const std::size_t size = GENERATE(0U, 1U, 2U, 7U, 511U, 512U, 513U, 3000U);
  ane::math::ThreadPool pool(3);
  CAPTURE(size);
  ane::test::on_every_target([&] {
    std::vector<float> values(size);
    ane::math::fill_normal(random, 0.02, values);
    bool same = true;
    for (std::size_t i = 0; i < size; ++i) same = same && values[i] == static_cast<float>(0.02 * random.normal(i));
    CHECK(same);
    std::vector<float> shared(size);
    ane::math::fill_normal(random, 0.02, shared, pool);
    CHECK(shared == values);
  });
}

TEST_CASE("normal values follow Box and Muller's formula on every instruction set", "[math]") {
  const CounterRandom random(8, 1);
  constexpr std::size_t kPairs = 20'000;
  ane::test::on_every_target([&] {
    double worst = 0;
    for (std::size_t i = 0; i < 2 * kPairs; i += 2) {
      const double radius = std::sqrt(-2 * std::log(1 - random.uniform(i)));
      const double angle = 2 * std::numbers::pi * random.uniform(i + 1);
      worst = std::max(worst, std::abs(random.normal(i) - radius * std::cos(angle)));
      worst = std::max(worst, std::abs(random.normal(i + 1) - radius * std::sin(angle)));
    }
    CHECK(worst <= 2e-14);  // values up to 5, functions accurate to some units in the last place
  });
}

}  // namespace
