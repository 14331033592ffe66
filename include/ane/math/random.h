#pragma once

#include <cstdint>
#include <span>

#include "ane/math/threads.h"

namespace ane::math {

/// A counter-based generator (SplitMix64 of (seed, stream, index)): the i-th value is a pure function of the three, so
/// there is no state to save and any part can be drawn separately. Streams of one seed are independent for all
/// practical purposes; draws of different kinds at the same index of one stream are not. SplitMix64: Steele, Lea and
/// Flood 2014.
class CounterRandom {
 public:
  constexpr CounterRandom(std::uint64_t seed, std::uint64_t stream) noexcept : key_(mix(mix(seed, 1) ^ stream, 1)) {}

  [[nodiscard]] constexpr std::uint64_t bits(std::uint64_t index) const noexcept { return mix(key_, index + 1); }
  /// Uniform in [0, 1), 53 bits.
  [[nodiscard]] constexpr double uniform(std::uint64_t index) const noexcept {
    return static_cast<double>(bits(index) >> 11U) * 0x1p-53;
  }
  /// Uniform in [0, bound), bound > 0, with negligible modulo bias (128-bit multiply).
  [[nodiscard]] std::uint64_t below(std::uint64_t bound, std::uint64_t index) const noexcept;
  /// Standard normal (Box-Muller), one value per index.
  [[nodiscard]] double normal(std::uint64_t index) const noexcept;

 private:
  // The `step`-th output of a SplitMix64 generator whose state is `state`.
  static constexpr std::uint64_t mix(std::uint64_t state, std::uint64_t step) noexcept {
    std::uint64_t z = state + step * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }

  std::uint64_t key_;
};

/// Fills `values` with normals of mean 0 and the given deviation; element i is the generator's i-th normal.
void fill_normal(const CounterRandom& random, double deviation, std::span<float> values) noexcept;
/// The same values, drawn on all threads.
void fill_normal(const CounterRandom& random, double deviation, std::span<float> values, ThreadPool& pool);

}  // namespace ane::math
