#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <numeric>

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
  constexpr std::size_t kBlocks = 512;
  std::array<double, kBlocks> sums{};
  double total = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlocks * kGrain) {
    const auto part = values.subspan(begin, std::min(kBlocks * kGrain, values.size() - begin));
    const std::size_t blocks = (part.size() + kGrain - 1) / kGrain;
    pool.parallel_for(blocks, 1, [&](Range range) {
      for (std::size_t block = range.begin; block < range.end; ++block) {
        const auto of_block = part.subspan(block * kGrain, std::min(kGrain, part.size() - block * kGrain));
        sums[block] = HWY_DYNAMIC_DISPATCH(sum_of_squares_kernel)(of_block.data(), of_block.size());
      }
    });
    total = std::accumulate(sums.begin(), sums.begin() + static_cast<std::ptrdiff_t>(blocks), total);
  }
  return total;
}

}  // namespace ane::math

#endif  // HWY_ONCE
