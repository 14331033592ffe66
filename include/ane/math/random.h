#pragma once

#include <cstdint>
#include <span>

namespace ane::math {

/// A counter-based generator (SplitMix64 of (seed, stream, index)): the i-th value is a pure function of the three, so
/// there is no state to save and any part can be drawn alone.
class CounterRandom {
 public:
  constexpr CounterRandom(std::uint64_t seed, std::uint64_t stream) noexcept : seed_(seed), stream_(stream) {}

  [[nodiscard]] std::uint64_t bits(std::uint64_t index) const noexcept;
  /// Uniform in [0, 1), 53 bits.
  [[nodiscard]] double uniform(std::uint64_t index) const noexcept;
  /// Uniform in [0, bound), bound > 0, without modulo bias worth noticing (128-bit multiply).
  [[nodiscard]] std::uint64_t below(std::uint64_t bound, std::uint64_t index) const noexcept;
  /// Standard normal (Box-Muller), one value an index.
  [[nodiscard]] double normal(std::uint64_t index) const noexcept;

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

/// values[i] = mean 0, deviation `deviation`, element i being the generator's i-th normal.
void fill_normal(const CounterRandom& random, double deviation, std::span<float> values) noexcept;

}  // namespace ane::math
