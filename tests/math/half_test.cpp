#include "ane/math/half.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "compare.h"
#include "support/catch.h"
#include "support/targets.h"

namespace {

using ane::math::Half;
using ane::math::to_float;
using ane::math::to_half;
using ane::test::on_every_target;

constexpr float kInfiniteFloat = std::numeric_limits<float>::infinity();
constexpr std::uint32_t kHalves = 1U << 16U;

bool is_nan(Half value) { return (value & 0x7FFFU) > 0x7C00U; }

// By the definition of binary16, in exact arithmetic.
double value_of(Half half) {
  const int exponent = (half >> 10U) & 0x1F;
  const int mantissa = half & 0x3FF;
  const double sign = (half & 0x8000U) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  return exponent == 0 ? sign * std::ldexp(mantissa, -24) : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

std::vector<Half> all_halves() {
  std::vector<Half> halves(kHalves);
  for (std::uint32_t i = 0; i < kHalves; ++i) halves[i] = static_cast<Half>(i);
  return halves;
}

// Every half, the midpoints between adjacent halves and their adjacent floats, and the limits of both formats.
std::vector<float> telling_floats() {
  std::vector<float> values;
  for (const Half half : all_halves()) {
    if ((half & 0x7FFFU) >= 0x7C00U) continue;
    const float value = to_float(half);
    const auto next = static_cast<float>((value_of(half) + value_of(static_cast<Half>(half + 1))) / 2);
    values.insert(values.end(), {value, std::nextafter(value, kInfiniteFloat), std::nextafter(value, -kInfiniteFloat)});
    if (!std::isfinite(next)) continue;
    values.insert(values.end(), {next, std::nextafter(next, kInfiniteFloat), std::nextafter(next, -kInfiniteFloat)});
  }
  for (const float sign : {1.0F, -1.0F}) {
    for (const float value : {0.0F,
                              65504.0F,
                              65519.996F,
                              65520.0F,
                              65535.9F,
                              65536.0F,
                              1e10F,
                              3.4e38F,
                              kInfiniteFloat,
                              0x1p-24F,
                              0x1p-25F,
                              0x1.000002p-25F,
                              0x1p-26F,
                              1e-30F,
                              1e-40F,
                              1.4e-45F,
                              std::numeric_limits<float>::quiet_NaN(),
                              std::bit_cast<float>(0x7F800001U),
                              std::bit_cast<float>(0x7FABCDEFU),
                              std::bit_cast<float>(0x7FC02000U)}) {
      values.push_back(std::copysign(value, sign));
    }
  }
  std::uint32_t bits = 1;  // every exponent, with scattered mantissas
  for (int i = 0; i < 200'000; ++i) {
    bits = bits * 1664525U + 1013904223U;
    values.push_back(std::bit_cast<float>(bits));
  }
  return values;
}

TEST_CASE("every half has the value that IEEE 754 gives it", "[math][half]") {
  std::uint32_t wrong = 0;
  for (const Half half : all_halves()) {
    const float value = to_float(half);
    if (is_nan(half) ? !std::isnan(value) : static_cast<double>(value) != value_of(half)) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(std::signbit(to_float(0x8000)));
}

TEST_CASE("every half converts to float and back unchanged, except that NaN becomes quiet", "[math][half]") {
  std::uint32_t wrong = 0;
  for (const Half half : all_halves()) {
    const auto expected = static_cast<Half>(is_nan(half) ? half | 0x200U : half);
    if (to_half(to_float(half)) != expected) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a float becomes the nearest half, ties to even", "[math][half]") {
  CHECK(to_half(1.0F) == 0x3C00);
  CHECK(to_half(-2.0F) == 0xC000);
  CHECK(to_half(ane::math::kHalfMax) == 0x7BFF);
  CHECK(to_half(65519.996F) == 0x7BFF);
  CHECK(to_half(65520.0F) == 0x7C00);
  CHECK(to_half(-kInfiniteFloat) == 0xFC00);
  CHECK(to_half(0x1p-24F) == 0x0001);
  CHECK(to_half(0x1p-25F) == 0x0000);
  CHECK(to_half(0x1.8p-24F) == 0x0002);
  CHECK(to_half(-0.0F) == 0x8000);
  CHECK(is_nan(to_half(std::bit_cast<float>(0x7F800001U))));

  std::size_t wrong = 0;
  for (const float value : telling_floats()) {
    if (!std::isfinite(value) || std::abs(value) >= 65520.0F) continue;
    const Half half = to_half(value);
    const double error = std::abs(value_of(half) - static_cast<double>(value));
    for (const int step : {-1, 1}) {
      const auto neighbour = static_cast<Half>(half + step);
      if (((neighbour ^ half) & 0x8000U) != 0 || (neighbour & 0x7FFFU) >= 0x7C00U) continue;
      const double other = std::abs(value_of(neighbour) - static_cast<double>(value));
      if (other < error || (other == error && half % 2 != 0)) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("conversions are constant expressions", "[math][half]") {
  STATIC_REQUIRE(to_half(-1e-4F) == 0x868E);
  STATIC_REQUIRE(to_float(Half{0x3555}) == 0x1.554p-2F);
}

TEST_CASE("whole arrays convert to the same bits on every instruction set", "[math][half]") {
  const std::vector<float> floats = telling_floats();
  const std::vector<Half> halves = all_halves();
  on_every_target([&] {
    std::vector<Half> narrowed(floats.size());
    ane::math::to_half(floats, narrowed);
    std::vector<float> widened(halves.size());
    ane::math::to_float(halves, widened);
    std::vector<float> rounded = floats;
    ane::math::round_to_half(rounded);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < floats.size(); ++i) {
      const Half expected = to_half(floats[i]);
      if (narrowed[i] != expected && wrong++ == 0) {
        UNSCOPED_INFO(std::hexfloat << floats[i] << " became " << narrowed[i] << " and not " << expected);
      }
      if (std::bit_cast<std::uint32_t>(rounded[i]) != std::bit_cast<std::uint32_t>(to_float(expected))) ++wrong;
    }
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const auto expected = std::bit_cast<std::uint32_t>(to_float(halves[i]));
      const auto found = std::bit_cast<std::uint32_t>(widened[i]);
      if (found != expected && wrong++ == 0) UNSCOPED_INFO(halves[i] << " became " << found << ", not " << expected);
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("arrays of any length and alignment convert, without changing adjacent memory", "[math][half]") {
  const std::size_t size = GENERATE(0U, 1U, 3U, 4U, 7U, 8U, 15U, 16U, 17U, 33U, 100U);
  const std::size_t offset = GENERATE(0U, 1U, 3U);
  CAPTURE(size, offset);
  const std::vector<float> floats = ane::math::normal_values(size + offset, 1);
  const std::span from = std::span(floats).subspan(offset);
  on_every_target([&] {
    std::vector<Half> halves(size + offset + 2, 0x1234);
    ane::math::to_half(from, std::span(halves).subspan(offset, size));
    std::vector<float> back(size + offset + 2, 99.0F);
    ane::math::to_float(std::span(halves).subspan(offset, size), std::span(back).subspan(offset, size));
    bool same = true;
    for (std::size_t i = 0; i < size; ++i) {
      same = same && halves[offset + i] == to_half(from[i]) && back[offset + i] == to_float(to_half(from[i]));
    }
    CHECK(same);
    CHECK(std::count(halves.begin(), halves.end(), Half{0x1234}) >= static_cast<std::ptrdiff_t>(offset + 2));
    CHECK(std::count(back.begin(), back.end(), 99.0F) >= static_cast<std::ptrdiff_t>(offset + 2));
  });
}

TEST_CASE("a matrix is transposed during conversion", "[math][half]") {
  const std::size_t rows = GENERATE(0U, 1U, 5U, 16U, 31U, 32U, 33U, 64U, 100U);
  const std::size_t columns = GENERATE(0U, 1U, 7U, 16U, 32U, 45U, 65U);
  CAPTURE(rows, columns);
  const std::vector<float> from = ane::math::normal_values(rows * columns, 2);
  on_every_target([&] {
    std::vector<Half> to(from.size());
    ane::math::transpose_to_half(from, rows, columns, to);
    bool same = true;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) same = same && to[c * rows + r] == to_half(from[r * columns + c]);
    }
    CHECK(same);
  });
}

TEST_CASE("the largest magnitude is found wherever it is", "[math][half]") {
  const std::size_t size = GENERATE(1U, 2U, 15U, 16U, 31U, 64U, 67U);
  CAPTURE(size);
  on_every_target([&] {
    for (std::size_t place = 0; place < size; ++place) {
      std::vector<float> values(size, 0.5F);
      std::vector<Half> halves(size, to_half(0.5F));
      for (const float value : {-3.0F, 3.0F, kInfiniteFloat, -kInfiniteFloat}) {
        values[place] = value;
        halves[place] = to_half(value);
        REQUIRE(ane::math::max_magnitude(values) == std::abs(value));
        REQUIRE(ane::math::max_magnitude(halves) == std::abs(value));
      }
      values[place] = -std::numeric_limits<float>::quiet_NaN();
      halves[place] = 0xFE01;
      if (size / 2 != place) values[size / 2] = kInfiniteFloat;
      REQUIRE(std::isnan(ane::math::max_magnitude(values)));
      REQUIRE(std::isnan(ane::math::max_magnitude(halves)));
    }
    CHECK(ane::math::max_magnitude(std::span<const float>{}) == 0.0F);
    CHECK(ane::math::max_magnitude(std::span<const Half>{}) == 0.0F);
  });
}

TEST_CASE("a transfer converts, adds and finds the largest magnitude in one pass", "[math][half]") {
  const std::size_t size = GENERATE(0U, 1U, 15U, 16U, 17U, 32U, 67U);
  const std::size_t place = size == 0 ? 0 : GENERATE_COPY(range<std::size_t>(0, std::max<std::size_t>(size, 1)));
  CAPTURE(size, place);
  std::vector<float> floats = ane::math::normal_values(size, 3);
  const std::vector<float> base = ane::math::normal_values(size, 4);
  if (size > 0) floats[place] = GENERATE(-7.0F, 7.0F, -kInfiniteFloat, std::numeric_limits<float>::quiet_NaN());
  std::vector<Half> halves(size);
  to_half(floats, halves);
  const auto same = [](float found, float expected) {
    return std::bit_cast<std::uint32_t>(found) == std::bit_cast<std::uint32_t>(expected) ||
           (std::isnan(found) && std::isnan(expected));
  };
  const auto expect = [&](std::span<const float> found, auto&& expected) {
    for (std::size_t i = 0; i < size; ++i) REQUIRE(same(found[i], expected(i)));
  };
  on_every_target([&] {
    std::vector<Half> to_halves(size);
    std::vector<float> to(size);
    REQUIRE(same(ane::math::transfer(floats, to_halves), ane::math::max_magnitude(floats)));
    REQUIRE(to_halves == halves);
    REQUIRE(same(ane::math::transfer(floats, to), ane::math::max_magnitude(floats)));
    expect(to, [&](std::size_t i) { return floats[i]; });

    const float largest_half = ane::math::max_magnitude(halves);
    REQUIRE(same(ane::math::transfer(halves, to_halves), largest_half));
    REQUIRE(to_halves == halves);
    REQUIRE(same(ane::math::transfer(halves, to), largest_half));
    expect(to, [&](std::size_t i) { return to_float(halves[i]); });

    std::vector<std::uint16_t> upper(size);
    for (std::size_t i = 0; i < size; ++i)
      upper[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(floats[i]) >> 16U);
    const float largest_upper = ane::math::transfer_bfloat(upper, to);
    expect(to, [&](std::size_t i) { return std::bit_cast<float>(std::uint32_t{upper[i]} << 16U); });
    REQUIRE(same(largest_upper, ane::math::max_magnitude(to)));

    REQUIRE(same(ane::math::transfer_add(halves, base, to), largest_half));
    expect(to, [&](std::size_t i) { return base[i] + to_float(halves[i]); });
    to = base;
    REQUIRE(same(ane::math::transfer_add(floats, to, to), ane::math::max_magnitude(floats)));
    expect(to, [&](std::size_t i) { return base[i] + floats[i]; });
  });
}

}  // namespace
