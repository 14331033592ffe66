#include <atomic>
#include <cassert>
#include <cmath>

#include "ane/math/nn.h"

#include "optimizer_factors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "optimizer.cpp"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ane::math::HWY_NAMESPACE {

/// Returns whether the new parameters and second moments are finite; a non-finite first moment leads to a non-finite
/// parameter.
bool adamw_kernel(const AdamWFactors& by, float* HWY_RESTRICT p, float* HWY_RESTRICT gradient, float* HWY_RESTRICT m,
                  float* HWY_RESTRICT v, Range range) {
  bool finite = true;
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, by.gradient));
    const auto new_m =
        hn::MulAdd(hn::Set(d, by.beta1), hn::LoadU(d, m + i), hn::Mul(hn::Set(d, by.one_minus_beta1), g));
    const auto new_v =
        hn::MulAdd(hn::Set(d, by.beta2), hn::LoadU(d, v + i), hn::Mul(hn::Mul(hn::Set(d, by.one_minus_beta2), g), g));
    const auto root = hn::MulAdd(hn::Sqrt(new_v), hn::Set(d, by.root_correction), hn::Set(d, by.eps));
    const auto decayed = hn::Mul(hn::LoadU(d, p + i), hn::Set(d, by.decay));
    const auto new_p = hn::NegMulAdd(hn::Set(d, by.step), hn::Div(new_m, root), decayed);
    finite &= hn::AllTrue(d, hn::And(hn::IsFinite(new_p), hn::IsFinite(new_v)));
    hn::StoreU(new_p, d, p + i);
    hn::StoreU(new_m, d, m + i);
    hn::StoreU(new_v, d, v + i);
    hn::StoreU(hn::Zero(d), d, gradient + i);
  });
  return finite;
}

bool sgd_kernel(float lr, float weight_decay, float grad_factor, float* HWY_RESTRICT p, float* HWY_RESTRICT gradient,
                Range range) {
  bool finite = true;
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    const auto old_p = hn::LoadU(d, p + i);
    const auto decayed = hn::Mul(hn::Set(d, weight_decay), old_p);
    const auto g = hn::MulAdd(hn::Set(d, grad_factor), hn::LoadU(d, gradient + i), decayed);
    const auto new_p = hn::NegMulAdd(hn::Set(d, lr), g, old_p);
    finite &= hn::AllTrue(d, hn::IsFinite(new_p));
    hn::StoreU(new_p, d, p + i);
    hn::StoreU(hn::Zero(d), d, gradient + i);
  });
  return finite;
}

}  // namespace ane::math::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace ane::math {
namespace {

constexpr std::size_t kGrain = 1U << 12U;

// In double: 1 - beta^t and 1 - beta lose half their digits in float.
AdamWFactors factors_of(const AdamWStep& step) {
  const auto t = static_cast<double>(step.update);
  const double beta1 = step.beta1;
  const double beta2 = step.beta2;
  return {
      .gradient = step.grad_factor,
      .decay = static_cast<float>(1.0 - static_cast<double>(step.lr) * static_cast<double>(step.weight_decay)),
      .beta1 = step.beta1,
      .one_minus_beta1 = static_cast<float>(1.0 - beta1),
      .beta2 = step.beta2,
      .one_minus_beta2 = static_cast<float>(1.0 - beta2),
      .step = static_cast<float>(static_cast<double>(step.lr) / (1.0 - std::pow(beta1, t))),
      .root_correction = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, t))),
      .eps = step.eps,
  };
}

}  // namespace

HWY_EXPORT(adamw_kernel);
HWY_EXPORT(sgd_kernel);

bool adamw(const AdamWStep& step, std::span<float> p, std::span<float> gradient, std::span<float> m, std::span<float> v,
           ThreadPool& pool) {
  assert(step.update >= 1);
  assert(gradient.size() == p.size() && m.size() == p.size() && v.size() == p.size());
  const AdamWFactors factors = factors_of(step);
  std::atomic<bool> finite{true};
  pool.parallel_for(p.size(), kGrain, [&](Range range) {
    if (!HWY_DYNAMIC_DISPATCH(adamw_kernel)(factors, p.data(), gradient.data(), m.data(), v.data(), range))
      finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

bool sgd(float lr, float weight_decay, float grad_factor, std::span<float> p, std::span<float> gradient,
         ThreadPool& pool) {
  assert(gradient.size() == p.size());
  std::atomic<bool> finite{true};
  pool.parallel_for(p.size(), kGrain, [&](Range range) {
    if (!HWY_DYNAMIC_DISPATCH(sgd_kernel)(lr, weight_decay, grad_factor, p.data(), gradient.data(), range))
      finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

}  // namespace ane::math

#endif  // HWY_ONCE
