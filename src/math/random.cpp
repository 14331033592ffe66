#include "ane/math/random.h"

#include <cassert>
#include <cmath>
#include <numbers>

#include <hwy/base.h>

namespace ane::math {
namespace {

// Box-Muller makes two normals of two uniforms; indices 2i and 2i + 1 are such a pair.
struct NormalPair {
  double even;
  double odd;
};

NormalPair normal_pair(const CounterRandom& random, std::uint64_t even_index) noexcept {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random.uniform(even_index)));  // 1 - u is never 0
  const double angle = 2.0 * std::numbers::pi * random.uniform(even_index + 1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace

std::uint64_t CounterRandom::below(std::uint64_t bound, std::uint64_t index) const noexcept {
  assert(bound > 0);
  std::uint64_t upper = 0;
  hwy::Mul128(bits(index), bound, &upper);
  return upper;
}

double CounterRandom::normal(std::uint64_t index) const noexcept {
  const NormalPair pair = normal_pair(*this, index & ~std::uint64_t{1});
  return index % 2 == 0 ? pair.even : pair.odd;
}

void fill_normal(const CounterRandom& random, double deviation, std::span<float> values) noexcept {
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const NormalPair pair = normal_pair(random, i);
    values[i] = static_cast<float>(deviation * pair.even);
    if (i + 1 < values.size()) values[i + 1] = static_cast<float>(deviation * pair.odd);
  }
}

}  // namespace ane::math
