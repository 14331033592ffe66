#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ane/math/random.h"

namespace ane::math {

/// |found - expected| / |expected|, by Frobenius norms; NaN if any value is, so that `<=` fails.
template <std::floating_point Found, std::floating_point Expected>
double relative_error(const std::vector<Found>& found, const std::vector<Expected>& expected) {
  if (found.size() != expected.size()) return std::nan("");
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto e = static_cast<double>(expected[i]);
    difference += std::pow(static_cast<double>(found[i]) - e, 2);
    norm += e * e;
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

/// `count` normal values; different for each `stream`.
inline std::vector<float> normal_values(std::size_t count, std::uint64_t stream) {
  std::vector<float> values(count);
  fill_normal(CounterRandom(20240607, stream), 1.0, values);
  return values;
}

template <std::floating_point T>
std::vector<double> to_double(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

}  // namespace ane::math
