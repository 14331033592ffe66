#include "ane/math/random.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <numbers>

#include <hwy/base.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "random.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Box-Muller: two normals from two uniforms. `first` becomes the cosine part, `second` the sine part.
template <class D>
HWY_INLINE void to_normals(D d, double* first, double* second) {
  const auto above_0 = hn::Sub(hn::Set(d, 1.0), hn::LoadU(d, first));
  const auto radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0), hn::Log(d, above_0)));
  const auto angle = hn::Mul(hn::Set(d, 2.0 * std::numbers::pi), hn::LoadU(d, second));
  hn::StoreU(hn::Mul(radius, hn::Cos(d, angle)), d, first);
  hn::StoreU(hn::Mul(radius, hn::Sin(d, angle)), d, second);
}

void to_normals_kernel(double* first, double* second, std::size_t count) {
  const hn::ScalableTag<double> whole;
  const hn::CappedTag<double, 1> single;
  const std::size_t lanes = hn::Lanes(whole);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) to_normals(whole, first + i, second + i);
  for (; i < count; ++i) to_normals(single, first + i, second + i);
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {
namespace {

HWY_EXPORT(to_normals_kernel);

constexpr std::size_t kPairs = 256;  // drawn together

// Normals of the indices 2i (in `even`) and 2i + 1 (in `odd`) for `count` pairs from `first_pair` on.
void normal_pairs(const CounterRandom& random, std::uint64_t first_pair, std::size_t count, double* even, double* odd) {
  for (std::size_t i = 0; i < count; ++i) {
    even[i] = random.uniform(2 * (first_pair + i));
    odd[i] = random.uniform(2 * (first_pair + i) + 1);
  }
  HWY_DYNAMIC_DISPATCH(to_normals_kernel)(even, odd, count);
}

// values[i] = normal `first` + i, where `first` is even.
void fill_from(const CounterRandom& random, std::size_t first, double deviation, std::span<float> values) noexcept {
  std::array<double, kPairs> even{};
  std::array<double, kPairs> odd{};
  for (std::size_t begin = 0; begin < values.size(); begin += 2 * kPairs) {
    const std::span<float> block = values.subspan(begin, std::min(2 * kPairs, values.size() - begin));
    normal_pairs(random, (first + begin) / 2, (block.size() + 1) / 2, even.data(), odd.data());
    for (std::size_t i = 0; i < block.size(); ++i) {
      block[i] = static_cast<float>(deviation * (i % 2 == 0 ? even[i / 2] : odd[i / 2]));
    }
  }
}

}  // namespace

std::uint64_t CounterRandom::below(std::uint64_t bound, std::uint64_t index) const noexcept {
  assert(bound > 0);
  std::uint64_t upper = 0;
  hwy::Mul128(bits(index), bound, &upper);
  return upper;
}

double CounterRandom::normal(std::uint64_t index) const noexcept {
  double even = 0;
  double odd = 0;
  normal_pairs(*this, index / 2, 1, &even, &odd);
  return index % 2 == 0 ? even : odd;
}

void fill_normal(const CounterRandom& random, double deviation, std::span<float> values) noexcept {
  fill_from(random, 0, deviation, values);
}

void fill_normal(const CounterRandom& random, double deviation, std::span<float> values, ThreadPool& pool) {
  pool.parallel_for(values.size(), 2 * kPairs, [&](Range range) {
    fill_from(random, range.begin, deviation, values.subspan(range.begin, range.size()));
  });
}

}  // namespace ane::math

#endif  // HWY_ONCE
