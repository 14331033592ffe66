#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>

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

// May ignore NaN.
float max_of(const float* values, std::size_t count) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  auto max = hn::Set(d, -std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) max = hn::Max(max, hn::LoadU(d, values + i));
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < count; ++i) result = std::max(result, values[i]);
  return result;
}

// exp(x), also for NaN, for which Highway's is undefined.
template <class D, class V>
HWY_INLINE V exp_or_nan(D d, V x) {
  const auto is_number = hn::Eq(x, x);
  return hn::IfThenElse(is_number, hn::Exp(d, hn::IfThenElseZero(is_number, x)), x);
}

// The sum of exp(x - max); the values are replaced by these exponentials if kKeep.
template <bool kKeep>
double sum_of_exponentials(float* HWY_RESTRICT values, std::size_t count, float max) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  double rest = 0;
  for_each_vector(0, count, [&](auto dv, std::size_t i) HWY_ATTR {
    const auto exponential = exp_or_nan(dv, hn::Sub(hn::LoadU(dv, values + i), hn::Set(dv, max)));
    if constexpr (kKeep) hn::StoreU(exponential, dv, values + i);
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

// A row is read once, in blocks that stay in the L1 cache between computing the maximum and the exponentials, which are
// relative to the largest value so far (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax").
struct Softmax {
  static constexpr std::size_t kMaxBlocks = 32;
  static constexpr std::size_t kSmallestBlock = 4096;

  std::size_t block_size;
  std::array<float, kMaxBlocks> reference{};  // reference value of a block's exponentials
  float max = -std::numeric_limits<float>::infinity();
  double sum = 0;  // of exp(x - max)

  explicit Softmax(std::size_t count) : block_size(std::max(kSmallestBlock, (count + kMaxBlocks - 1) / kMaxBlocks)) {}

  template <bool kKeep>
  void read(float* HWY_RESTRICT row, std::size_t count) {
    for (std::size_t begin = 0, block = 0; begin < count; begin += block_size, ++block) {
      const std::size_t size = std::min(block_size, count - begin);
      const float new_max = std::max(max, max_of(row + begin, size));
      // Only minus infinity so far: any finite reference works.
      const float relative_to = new_max == -std::numeric_limits<float>::infinity() ? 0 : new_max;
      if (max < new_max) sum *= std::exp(static_cast<double>(max) - static_cast<double>(relative_to));
      sum += sum_of_exponentials<kKeep>(row + begin, size, relative_to);
      reference[block] = relative_to;
      max = new_max;
    }
  }

  // factor * softmax, from the exponentials that read<true> left.
  void finish(float* HWY_RESTRICT row, std::size_t count, float factor) const {
    for (std::size_t begin = 0, block = 0; begin < count; begin += block_size, ++block) {
      const double correction =
          std::exp(std::min(0.0, static_cast<double>(reference[block]) - static_cast<double>(max)));
      const auto normaliser = static_cast<float>(static_cast<double>(factor) / sum * correction);
      for_each_vector(begin, std::min(begin + block_size, count), [&](auto d, std::size_t i) HWY_ATTR {
        hn::StoreU(hn::Mul(hn::LoadU(d, row + i), hn::Set(d, normaliser)), d, row + i);
      });
    }
  }
};

// Losses of some rows. With a factor other than 0, each row becomes factor * (softmax - onehot), or 0 if it does not
// count. `loss_mask` may be null.
void cross_entropy_kernel(float* HWY_RESTRICT logits, const std::uint32_t* HWY_RESTRICT targets,
                          const std::uint8_t* loss_mask, std::size_t vocab, float factor, double* HWY_RESTRICT losses,
                          Range rows) {
  for (std::size_t s = rows.begin; s < rows.end; ++s) {
    float* row = logits + s * vocab;
    if (loss_mask != nullptr && loss_mask[s] == 0) {
      if (factor != 0) std::fill_n(row, vocab, 0.0F);
      losses[s] = 0;
      continue;
    }
    const auto target_logit = static_cast<double>(row[targets[s]]);
    Softmax softmax(vocab);
    if (factor != 0) {
      softmax.read<true>(row, vocab);
      softmax.finish(row, vocab, factor);
      row[targets[s]] -= factor;
    } else {
      softmax.read<false>(row, vocab);
    }
    losses[s] = std::log(softmax.sum) - (target_logit - static_cast<double>(softmax.max));
  }
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {
namespace {

// Elements per thread: some microseconds of exponentials.
constexpr std::size_t kGrain = 8192;

}  // namespace

HWY_EXPORT(cross_entropy_kernel);

double cross_entropy(std::span<float> logits, std::span<const std::uint32_t> targets, float grad_scale,
                     std::span<double> losses, ThreadPool& pool, std::span<const std::uint8_t> loss_mask) {
  assert(losses.size() == targets.size());
  assert(loss_mask.empty() || loss_mask.size() == targets.size());
  assert(!targets.empty() && logits.size() % targets.size() == 0);
  const std::size_t vocab = logits.size() / targets.size();
  assert(std::ranges::all_of(targets, [&](std::uint32_t target) { return target < vocab; }));
  const float factor = grad_scale / static_cast<float>(targets.size());
  pool.parallel_for(targets.size(), std::max<std::size_t>(1, kGrain / vocab), [&](Range rows) {
    HWY_DYNAMIC_DISPATCH(cross_entropy_kernel)
    (logits.data(), targets.data(), loss_mask.empty() ? nullptr : loss_mask.data(), vocab, factor, losses.data(), rows);
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(targets.size());
}

}  // namespace ane::math

#endif  // HWY_ONCE
