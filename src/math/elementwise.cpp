#include <algorithm>
#include <cassert>
#include <numeric>
#include <vector>

#include "ane/math/nn.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "elementwise.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

void add_kernel(const float* HWY_RESTRICT x, float* HWY_RESTRICT y, Range range) {
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
  });
}

void scale_kernel(float* values, float factor, Range range) {
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, values + i), hn::Set(d, factor)), d, values + i);
  });
}

double sum_of_squares_kernel(const float* values, std::size_t count) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = sum0;
  std::size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const auto value0 = hn::PromoteTo(d, hn::LoadU(narrow, values + i));
    const auto value1 = hn::PromoteTo(d, hn::LoadU(narrow, values + i + lanes));
    sum0 = hn::MulAdd(value0, value0, sum0);
    sum1 = hn::MulAdd(value1, value1, sum1);
  }
  double total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < count; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return total;
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {
namespace {

// Below this, waking another thread costs more than the work.
constexpr std::size_t kGrain = 1U << 14U;

}  // namespace

HWY_EXPORT(add_kernel);
HWY_EXPORT(scale_kernel);
HWY_EXPORT(sum_of_squares_kernel);

void add(std::span<const float> x, std::span<float> y, ThreadPool& pool) {
  assert(x.size() == y.size());
  pool.parallel_for(y.size(), kGrain, [&](Range range) {
    HWY_DYNAMIC_DISPATCH(add_kernel)(x.data(), y.data(), range);
  });
}

void scale(std::span<float> values, float factor, ThreadPool& pool) {
  pool.parallel_for(values.size(), kGrain, [&](Range range) {
    HWY_DYNAMIC_DISPATCH(scale_kernel)(values.data(), factor, range);
  });
}

double sum_of_squares(std::span<const float> values, ThreadPool& pool) {
  std::vector<double> sums((values.size() + kGrain - 1) / kGrain);
  pool.parallel_for(sums.size(), 1, [&](Range blocks) {
    for (std::size_t block = blocks.begin; block < blocks.end; ++block) {
      const std::size_t begin = block * kGrain;
      const std::size_t count = std::min(kGrain, values.size() - begin);
      sums[block] = HWY_DYNAMIC_DISPATCH(sum_of_squares_kernel)(values.data() + begin, count);
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace ane::math

#endif  // HWY_ONCE
