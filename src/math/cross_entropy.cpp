#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

#include "ane/math/nn.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cross_entropy.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

float max_of_row(const float* row, std::size_t count) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  auto max = hn::Set(d, -std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) max = hn::Max(max, hn::LoadU(d, row + i));
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < count; ++i) result = std::max(result, row[i]);
  return result;
}

// exp(x), also where x is NaN: Highway's is undefined there.
template <class D, class V>
HWY_INLINE V exp_or_nan(D d, V x) {
  const auto is_number = hn::Eq(x, x);
  return hn::IfThenElse(is_number, hn::Exp(d, hn::IfThenElseZero(is_number, x)), x);
}

// The sum of exp(x - max) over a row, which holds those exponentials afterwards if kKeep.
template <bool kKeep>
double sum_of_exponentials(float* HWY_RESTRICT row, std::size_t count, float max) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  double rest = 0;
  for_each_vector(0, count, [&](auto dv, std::size_t i) HWY_ATTR {
    const auto exponential = exp_or_nan(dv, hn::Sub(hn::LoadU(dv, row + i), hn::Set(dv, max)));
    if constexpr (kKeep) hn::StoreU(exponential, dv, row + i);
    if constexpr (std::is_same_v<decltype(dv), hn::ScalableTag<float>>) {
      sum = hn::Add(sum, exponential);
    } else {
      rest += static_cast<double>(hn::GetLane(exponential));
    }
  });
  HWY_ALIGN std::array<float, hn::MaxLanes(d)> of_lanes;
  hn::Store(sum, d, of_lanes.data());
  return std::accumulate(of_lanes.data(), of_lanes.data() + lanes, rest);
}

// Losses of some rows. With a factor other than 0, each row becomes factor * (softmax - onehot).
void cross_entropy_kernel(float* HWY_RESTRICT logits, const std::uint16_t* HWY_RESTRICT targets, std::size_t vocab,
                          float factor, double* HWY_RESTRICT losses, Range rows) {
  for (std::size_t s = rows.begin; s < rows.end; ++s) {
    float* row = logits + s * vocab;
    const float max = max_of_row(row, vocab);
    const double target_logit = static_cast<double>(row[targets[s]]) - static_cast<double>(max);
    const double sum =
        factor != 0 ? sum_of_exponentials<true>(row, vocab, max) : sum_of_exponentials<false>(row, vocab, max);
    losses[s] = std::log(sum) - target_logit;
    if (factor == 0) continue;
    const auto normaliser = static_cast<float>(static_cast<double>(factor) / sum);
    for_each_vector(0, vocab, [&](auto d, std::size_t i) HWY_ATTR {
      hn::StoreU(hn::Mul(hn::LoadU(d, row + i), hn::Set(d, normaliser)), d, row + i);
    });
    row[targets[s]] -= factor;
  }
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {

HWY_EXPORT(cross_entropy_kernel);

double cross_entropy(std::span<float> logits, std::span<const std::uint16_t> targets, float grad_scale,
                     ThreadPool& pool) {
  assert(!targets.empty() && logits.size() % targets.size() == 0);
  const std::size_t vocab = logits.size() / targets.size();
  assert(std::ranges::all_of(targets, [&](std::uint16_t target) { return target < vocab; }));
  const float factor = grad_scale / static_cast<float>(targets.size());
  std::vector<double> losses(targets.size());
  pool.parallel_for(targets.size(), 1, [&](Range rows) {
    HWY_DYNAMIC_DISPATCH(cross_entropy_kernel)(logits.data(), targets.data(), vocab, factor, losses.data(), rows);
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(targets.size());
}

}  // namespace ane::math

#endif  // HWY_ONCE
