#include <algorithm>
#include <cassert>

#include "ane/math/nn.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "rms_norm.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

// y = w * x * r and r, for the positions of a range.
void rms_norm_forward_kernel(const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, std::size_t channels,
                             std::size_t seq_len, float eps, float* HWY_RESTRICT y, float* HWY_RESTRICT r,
                             Range positions) {
  for_each_vector(positions.begin, positions.end, [&](auto d, std::size_t s) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto value = hn::LoadU(d, x + c * seq_len + s);
      sum = hn::MulAdd(value, value, sum);
    }
    const auto mean = hn::Div(sum, hn::Set(d, static_cast<float>(channels)));
    const auto inverse_rms = hn::Div(hn::Set(d, 1.0F), hn::Sqrt(hn::Add(mean, hn::Set(d, eps))));
    hn::StoreU(inverse_rms, d, r + s);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto scaled = hn::Mul(hn::LoadU(d, x + c * seq_len + s), inverse_rms);
      hn::StoreU(hn::Mul(hn::Set(d, w[c]), scaled), d, y + c * seq_len + s);
    }
  });
}

// dx, for the positions of a range.
void rms_norm_dx_kernel(const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy, const float* HWY_RESTRICT w,
                        const float* HWY_RESTRICT r, std::size_t channels, std::size_t seq_len, float* HWY_RESTRICT dx,
                        Range positions) {
  for_each_vector(positions.begin, positions.end, [&](auto d, std::size_t s) HWY_ATTR {
    auto dot = hn::Zero(d);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto weighted = hn::Mul(hn::Set(d, w[c]), hn::LoadU(d, dy + c * seq_len + s));
      dot = hn::MulAdd(weighted, hn::LoadU(d, x + c * seq_len + s), dot);
    }
    const auto inverse_rms = hn::LoadU(d, r + s);
    const auto mean_dot = hn::Div(dot, hn::Set(d, static_cast<float>(channels)));
    const auto pull = hn::Mul(hn::Mul(inverse_rms, inverse_rms), mean_dot);
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t i = c * seq_len + s;
      const auto weighted = hn::Mul(hn::Set(d, w[c]), hn::LoadU(d, dy + i));
      const auto inner = hn::NegMulAdd(hn::LoadU(d, x + i), pull, weighted);
      hn::StoreU(hn::MulAdd(inverse_rms, inner, hn::LoadU(d, dx + i)), d, dx + i);
    }
  });
}

// dw, for the channels of a range.
void rms_norm_dw_kernel(const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy, const float* HWY_RESTRICT r,
                        std::size_t seq_len, float* HWY_RESTRICT dw, Range channels) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t c = channels.begin; c < channels.end; ++c) {
    const float* HWY_RESTRICT x_row = x + c * seq_len;
    const float* HWY_RESTRICT dy_row = dy + c * seq_len;
    auto sum = hn::Zero(d);
    std::size_t s = 0;
    for (; s + lanes <= seq_len; s += lanes) {
      const auto scaled = hn::Mul(hn::LoadU(d, x_row + s), hn::LoadU(d, r + s));
      sum = hn::MulAdd(scaled, hn::LoadU(d, dy_row + s), sum);
    }
    float total = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; s < seq_len; ++s) total += x_row[s] * r[s] * dy_row[s];
    dw[c] += total;
  }
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {
namespace {

// A cache line of positions, so that no two threads write the same one.
constexpr std::size_t kPositionGrain = 16;
constexpr std::size_t kChannelGrain = 16;

}  // namespace

HWY_EXPORT(rms_norm_forward_kernel);
HWY_EXPORT(rms_norm_dx_kernel);
HWY_EXPORT(rms_norm_dw_kernel);

void rms_norm_forward(std::span<const float> x, std::span<const float> w, float eps, std::span<float> y,
                      std::span<float> r, ThreadPool& pool) {
  assert(x.size() == w.size() * r.size() && y.size() == x.size());
  pool.parallel_for(r.size(), kPositionGrain, [&](Range positions) {
    HWY_DYNAMIC_DISPATCH(rms_norm_forward_kernel)
    (x.data(), w.data(), w.size(), r.size(), eps, y.data(), r.data(), positions);
  });
}

void rms_norm_backward(std::span<const float> x, std::span<const float> dy, std::span<const float> w,
                       std::span<const float> r, std::span<float> dx, std::span<float> dw, ThreadPool& pool) {
  assert(x.size() == w.size() * r.size() && dy.size() == x.size());
  assert(dx.size() == x.size() && dw.size() == w.size());
  pool.parallel_for(r.size(), kPositionGrain, [&](Range positions) {
    HWY_DYNAMIC_DISPATCH(rms_norm_dx_kernel)
    (x.data(), dy.data(), w.data(), r.data(), w.size(), r.size(), dx.data(), positions);
  });
  pool.parallel_for(w.size(), kChannelGrain, [&](Range channels) {
    HWY_DYNAMIC_DISPATCH(rms_norm_dw_kernel)(x.data(), dy.data(), r.data(), r.size(), dw.data(), channels);
  });
}

}  // namespace ane::math

#endif  // HWY_ONCE
