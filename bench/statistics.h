#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <vector>

namespace ane::bench {

using Duration = std::chrono::nanoseconds;

template <class Function>
[[nodiscard]] Duration time_of(const Function& function) {
  const auto start = std::chrono::steady_clock::now();
  function();
  return std::chrono::steady_clock::now() - start;
}

[[nodiscard]] inline double milliseconds(Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// The median; for an even count the lower of the two middle values.
[[nodiscard]] inline Duration median(std::vector<Duration> times) {
  assert(!times.empty());
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>((times.size() - 1) / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace ane::bench
