#include <algorithm>
#include <array>
#include <cassert>

#include "ane/core/checked.h"
#include "ane/math/nn.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "rms_norm.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

// Both traverse rows, which are contiguous in memory, and accumulate in small arrays that stay in the L1 cache.

// y = w * x * r and r, for the positions of a range.
void rms_norm_forward_kernel(const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, std::size_t channels,
                             std::size_t seq_len, float eps, float* HWY_RESTRICT y, float* HWY_RESTRICT r,
                             Range positions) {
  std::fill(r + positions.begin, r + positions.end, 0.0F);
  for (std::size_t c = 0; c < channels; ++c) {
    for_each_vector(positions.begin, positions.end, [&](auto d, std::size_t s) HWY_ATTR {
      const auto value = hn::LoadU(d, x + c * seq_len + s);
      hn::StoreU(hn::MulAdd(value, value, hn::LoadU(d, r + s)), d, r + s);
    });
  }
  for_each_vector(positions.begin, positions.end, [&](auto d, std::size_t s) HWY_ATTR {
    const auto mean = hn::Div(hn::LoadU(d, r + s), hn::Set(d, static_cast<float>(channels)));
    hn::StoreU(hn::Div(hn::Set(d, 1.0F), hn::Sqrt(hn::Add(mean, hn::Set(d, eps)))), d, r + s);
  });
  for (std::size_t c = 0; c < channels; ++c) {
    for_each_vector(positions.begin, positions.end, [&](auto d, std::size_t s) HWY_ATTR {
      const auto scaled = hn::Mul(hn::LoadU(d, x + c * seq_len + s), hn::LoadU(d, r + s));
      hn::StoreU(hn::Mul(hn::Set(d, w[c]), scaled), d, y + c * seq_len + s);
    });
  }
}

constexpr std::size_t kBlock = 256;

// dx for `count` positions, at most kBlock, from the pointers on.
void rms_norm_dx_block(const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy, const float* HWY_RESTRICT w,
                       const float* HWY_RESTRICT r, std::size_t channels, std::size_t seq_len, const float* base,
                       float* dx, std::size_t count) {
  HWY_ALIGN std::array<float, kBlock> pull{};  // sum_c(w * dy * x), then r^2 times its mean
  for (std::size_t c = 0; c < channels; ++c) {
    for_each_vector(0, count, [&](auto d, std::size_t s) HWY_ATTR {
      const auto weighted = hn::Mul(hn::Set(d, w[c]), hn::LoadU(d, dy + c * seq_len + s));
      const auto dot = hn::LoadU(d, pull.data() + s);
      hn::StoreU(hn::MulAdd(weighted, hn::LoadU(d, x + c * seq_len + s), dot), d, pull.data() + s);
    });
  }
  for_each_vector(0, count, [&](auto d, std::size_t s) HWY_ATTR {
    const auto inverse_rms = hn::LoadU(d, r + s);
    const auto mean_dot = hn::Div(hn::LoadU(d, pull.data() + s), hn::Set(d, static_cast<float>(channels)));
    hn::StoreU(hn::Mul(hn::Mul(inverse_rms, inverse_rms), mean_dot), d, pull.data() + s);
  });
  for (std::size_t c = 0; c < channels; ++c) {
    for_each_vector(0, count, [&](auto d, std::size_t s) HWY_ATTR {
      const std::size_t i = c * seq_len + s;
      const auto weighted = hn::Mul(hn::Set(d, w[c]), hn::LoadU(d, dy + i));
      const auto inner = hn::NegMulAdd(hn::LoadU(d, x + i), hn::LoadU(d, pull.data() + s), weighted);
      hn::StoreU(hn::MulAdd(hn::LoadU(d, r + s), inner, hn::LoadU(d, base + i)), d, dx + i);
    });
  }
}

void rms_norm_dx_kernel(const float* x, const float* dy, const float* w, const float* r, std::size_t channels,
                        std::size_t seq_len, const float* base, float* dx, Range positions) {
  for (std::size_t s = positions.begin; s < positions.end; s += kBlock) {
    const std::size_t count = std::min(kBlock, positions.end - s);
    rms_norm_dx_block(x + s, dy + s, w, r + s, channels, seq_len, base + s, dx + s, count);
  }
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

// Minimum number of elements per thread.
constexpr std::size_t kGrain = 16384;

// Whole cache lines of positions, so that no two threads write the same one.
std::size_t position_grain(std::size_t channels) {
  constexpr std::size_t kLine = 16;
  return round_up(std::max(kGrain / channels, kLine), kLine);
}

}  // namespace

HWY_EXPORT(rms_norm_forward_kernel);
HWY_EXPORT(rms_norm_dx_kernel);
HWY_EXPORT(rms_norm_dw_kernel);

void rms_norm_forward(std::span<const float> x, std::span<const float> w, float eps, std::span<float> y,
                      std::span<float> r, ThreadPool& pool) {
  assert(x.size() == w.size() * r.size() && y.size() == x.size());
  pool.parallel_for(r.size(), position_grain(w.size()), [&](Range positions) {
    HWY_DYNAMIC_DISPATCH(rms_norm_forward_kernel)
    (x.data(), w.data(), w.size(), r.size(), eps, y.data(), r.data(), positions);
  });
}

void rms_norm_backward(std::span<const float> x, std::span<const float> dy, std::span<const float> w,
                       std::span<const float> r, std::span<const float> base, std::span<float> dx, std::span<float> dw,
                       ThreadPool& pool) {
  assert(x.size() == w.size() * r.size() && dy.size() == x.size());
  assert(base.size() == x.size() && dx.size() == x.size() && (dw.empty() || dw.size() == w.size()));
  pool.parallel_for(r.size(), position_grain(w.size()), [&](Range positions) {
    HWY_DYNAMIC_DISPATCH(rms_norm_dx_kernel)
    (x.data(), dy.data(), w.data(), r.data(), w.size(), r.size(), base.data(), dx.data(), positions);
  });
  if (dw.empty()) return;
  pool.parallel_for(w.size(), std::max<std::size_t>(1, kGrain / r.size()), [&](Range channels) {
    HWY_DYNAMIC_DISPATCH(rms_norm_dw_kernel)(x.data(), dy.data(), r.data(), r.size(), dw.data(), channels);
  });
}

}  // namespace ane::math

#endif  // HWY_ONCE
