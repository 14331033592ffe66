#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "lab.h"
#include "stages.h"

namespace ane::explore {

namespace {

constexpr std::size_t kRows = 32;
constexpr std::size_t kColumns = 32;

/// y = x w for x [32, products] and w [products, 32]. The rows of x and the columns of w are the channels of a single
/// input, as in the kernels that are known to train (ane.md 7).
std::string product_text(const Lab& lab, std::size_t number, std::size_t products) {
  const auto length = static_cast<std::int64_t>(products);
  mil::Builder mil(mil::DType::fp16);
  const mil::Var pack = mil.input("pack", {1, kRows + kColumns, 1, length});
  const auto part = [&](std::string_view name, std::int64_t first, std::int64_t count) {
    return mil.reshape(name, mil.slice("part", pack, {0, first, 0, 0}, {1, count, 1, length}), {1, 1, count, length});
  };
  const mil::Var x = part("x", 0, kRows);
  const mil::Var w = part("w", kRows, kColumns);
  const mil::Var sums = mil.matmul(fresh_name(lab, number), x, w, false, true);
  const mil::Var y = mil.reshape("y", sums, {1, kRows, 1, kColumns});
  return finished(std::move(mil), y);
}

/// The first element of x w, if every row of x is `row` and all of w is `factor`.
float dot_product(const Lab& lab, std::size_t number, const std::vector<float>& row, float factor) {
  std::vector<float> pack;
  for (std::size_t i = 0; i < kRows; ++i) pack.insert(pack.end(), row.begin(), row.end());
  pack.resize((kRows + kColumns) * row.size(), factor);
  return result_of(lab, product_text(lab, number, row.size()), {pack}, kRows * kColumns).front();
}

/// What has become of a sum.
std::string outcome_of(float found, float right) {
  if (std::isinf(found)) return "infinite";
  if (std::isnan(found)) return "nan";
  if (found == 0) return "zero";
  return std::fabs(found - right) <= right / 100 ? "right" : "wrong";
}

}  // namespace

Finding sums_overflow(const Lab& lab) {
  constexpr float kWhole = 40000;
  constexpr float kRest = 16384;
  const std::string whole = outcome_of(dot_product(lab, 0, std::vector<float>(64, 25), 25), kWhole);
  std::vector<float> row(64, -32);
  std::fill_n(row.begin(), 40, 32.0F);
  const std::string running = outcome_of(dot_product(lab, 1, row, 32), kRest);
  return {whole, running == "right" ? 0 : 1,
          fmt::format("a sum of 40,000 is {}; one of 16,384 with an intermediate sum of 40,960 is {}", whole, running)};
}

Finding small_products_vanish(const Lab& lab) {
  constexpr int kLargest = -13;
  constexpr std::size_t kTried = 6;  // down to 2^-18
  constexpr std::size_t kProducts = 32;
  const auto exponent_of = [](std::size_t column) { return kLargest - static_cast<int>(column); };
  // Each column has one product; the other factors are 0.
  std::vector<float> pack((kRows + kColumns) * kProducts, 0);
  for (std::size_t i = 0; i < kRows; ++i) pack[i * kProducts] = 0x1p-6F;
  for (std::size_t column = 0; column < kTried; ++column)
    pack[(kRows + column) * kProducts] = std::ldexp(1.0F, exponent_of(column) + 6);
  const std::vector<float> found = result_of(lab, product_text(lab, 0, kProducts), {pack}, kRows * kColumns);
  std::size_t exact = 0;
  while (exact < kTried && found[exact] == std::ldexp(1.0F, exponent_of(exact))) ++exact;
  const int smallest = exponent_of(exact) + 1;

  std::vector<float> row(kProducts, 0);
  row.front() = std::numeric_limits<float>::quiet_NaN();
  const float nan = dot_product(lab, 1, row, 1);
  const std::string of_nan = std::isnan(nan) ? "nan" : std::isinf(nan) ? "infinite" : "number";
  return {of_nan, std::ldexp(1.0, smallest),
          fmt::format("products down to 2^{} are exact{}; a sum with NaN is {}", smallest,
                      exact == kTried ? ", and smaller ones were not tried" : ", and smaller ones are not",
                      of_nan == "number" ? "a number" : of_nan)};
}

Finding offset_slices_clamp(const Lab& lab) {
  constexpr std::size_t kChannels = 64;
  constexpr std::size_t kWidth = 64;
  constexpr std::size_t kFirst = 32;
  constexpr float kSlope = 80;  // up to 5,040; its multiples are numbers of fp16 up to 4,096 and exact to 4 beyond
  mil::Builder mil(mil::DType::fp16);
  const mil::Var x = mil.input("x", {1, kChannels, 1, kWidth});
  const mil::Var y = mil.slice(fresh_name(lab), x, {0, 0, 0, kFirst}, {1, kChannels, 1, kWidth - kFirst});
  std::vector<float> ramp(kChannels * kWidth);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = kSlope * static_cast<float>(i % kWidth);
  const std::vector<float> found = result_of(lab, finished(std::move(mil), y), {ramp}, kChannels * (kWidth - kFirst));
  for (std::size_t i = 0; i < found.size(); ++i) {
    const float right = kSlope * static_cast<float>(kFirst + i % (kWidth - kFirst));
    if (std::isinf(found[i]))
      return {"infinite", right, fmt::format("a slice that begins inside the last axis turns {} into infinity", right)};
    if (!(std::fabs(found[i] - right) <= 2))
      return {"wrong", right,
              fmt::format("a slice that begins inside the last axis returns {} instead of {}", found[i], right)};
  }
  return {"right", std::nullopt, "a slice that begins inside the last axis is right up to 5,040"};
}

}  // namespace ane::explore
