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

/// The shortest time. Whatever else a machine does only makes a measurement longer, and it may do so for the whole
/// measurement of a bound but not of what it bounds, or the reverse: medians of the two are then not comparable.
[[nodiscard]] inline Duration best(const std::vector<Duration>& times) {
  assert(!times.empty());
  return *std::min_element(times.begin(), times.end());
}

}  // namespace ane::bench
