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

/// A non-finite momentum leads to a non-finite parameter.
bool sgd_momentum_kernel(const MomentumStep& by, float* HWY_RESTRICT p, float* HWY_RESTRICT gradient,
                         float* HWY_RESTRICT m, Range range) {
  bool finite = true;
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    const auto old_p = hn::LoadU(d, p + i);
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, by.grad_factor));
    const auto new_m = hn::MulAdd(hn::Set(d, by.momentum), hn::LoadU(d, m + i), g);
    const auto direction = hn::MulAdd(hn::Set(d, by.weight_decay), old_p, new_m);
    const auto new_p = hn::NegMulAdd(hn::Set(d, by.lr), direction, old_p);
    finite &= hn::AllTrue(d, hn::IsFinite(new_p));
    hn::StoreU(new_p, d, p + i);
    hn::StoreU(new_m, d, m + i);
    hn::StoreU(hn::Zero(d), d, gradient + i);
  });
  return finite;
}

/// The sign hides a momentum that is not finite, so that is checked, too.
bool lion_kernel(const LionFactors& by, float* HWY_RESTRICT p, float* HWY_RESTRICT gradient, float* HWY_RESTRICT m,
                 Range range) {
  bool finite = true;
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, by.gradient));
    const auto old_m = hn::LoadU(d, m + i);
    const auto mean = hn::MulAdd(hn::Set(d, by.beta1), old_m, hn::Mul(hn::Set(d, by.one_minus_beta1), g));
    const auto step = hn::IfThenElseZero(hn::Ne(mean, hn::Zero(d)), hn::CopySign(hn::Set(d, by.lr), mean));
    const auto new_m = hn::MulAdd(hn::Set(d, by.beta2), old_m, hn::Mul(hn::Set(d, by.one_minus_beta2), g));
    const auto new_p = hn::Sub(hn::Mul(hn::LoadU(d, p + i), hn::Set(d, by.decay)), step);
    finite &= hn::AllTrue(d, hn::And(hn::IsFinite(new_p), hn::IsFinite(new_m)));
    hn::StoreU(new_p, d, p + i);
    hn::StoreU(new_m, d, m + i);
    hn::StoreU(hn::Zero(d), d, gradient + i);
  });
  return finite;
}

void nesterov_kernel(const NesterovFactors& by, float* HWY_RESTRICT gradient, float* HWY_RESTRICT m, Range range) {
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    const auto momentum = hn::Set(d, by.momentum);
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, by.gradient));
    const auto new_m = hn::MulAdd(momentum, hn::LoadU(d, m + i), g);
    hn::StoreU(new_m, d, m + i);
    hn::StoreU(hn::MulAdd(momentum, new_m, g), d, gradient + i);
  });
}

bool decay_and_step_kernel(float decay, float step, const float* HWY_RESTRICT direction, float* HWY_RESTRICT p,
                           float* HWY_RESTRICT gradient, Range range) {
  bool finite = true;
  for_each_vector(range.begin, range.end, [&](auto d, std::size_t i) HWY_ATTR {
    const auto decayed = hn::Mul(hn::Set(d, decay), hn::LoadU(d, p + i));
    const auto new_p = hn::NegMulAdd(hn::Set(d, step), hn::LoadU(d, direction + i), decayed);
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

/// Calls `kernel` for ranges of `count` elements; returns whether all calls returned true.
template <class Kernel>
bool all_finite(std::size_t count, ThreadPool& pool, const Kernel& kernel) {
  std::atomic<bool> finite{true};
  pool.parallel_for(count, kGrain, [&](Range range) {
    if (!kernel(range)) finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

// In double: 1 - beta loses half its digits in float.
LionFactors factors_of(const LionStep& step) {
  return {
      .gradient = step.grad_factor,
      .decay = static_cast<float>(1.0 - static_cast<double>(step.lr) * static_cast<double>(step.weight_decay)),
      .beta1 = step.beta1,
      .one_minus_beta1 = static_cast<float>(1.0 - static_cast<double>(step.beta1)),
      .beta2 = step.beta2,
      .one_minus_beta2 = static_cast<float>(1.0 - static_cast<double>(step.beta2)),
      .lr = step.lr,
  };
}

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
HWY_EXPORT(sgd_momentum_kernel);
HWY_EXPORT(lion_kernel);
HWY_EXPORT(nesterov_kernel);
HWY_EXPORT(decay_and_step_kernel);

bool adamw(const AdamWStep& step, std::span<float> p, std::span<float> gradient, std::span<float> m, std::span<float> v,
           ThreadPool& pool) {
  assert(step.update >= 1);
  assert(gradient.size() == p.size() && m.size() == p.size() && v.size() == p.size());
  const AdamWFactors factors = factors_of(step);
  return all_finite(p.size(), pool, [&](Range range) {
    return HWY_DYNAMIC_DISPATCH(adamw_kernel)(factors, p.data(), gradient.data(), m.data(), v.data(), range);
  });
}

bool sgd(float lr, float weight_decay, float grad_factor, std::span<float> p, std::span<float> gradient,
         ThreadPool& pool) {
  assert(gradient.size() == p.size());
  return all_finite(p.size(), pool, [&](Range range) {
    return HWY_DYNAMIC_DISPATCH(sgd_kernel)(lr, weight_decay, grad_factor, p.data(), gradient.data(), range);
  });
}

bool sgd_momentum(const MomentumStep& step, std::span<float> p, std::span<float> gradient, std::span<float> m,
                  ThreadPool& pool) {
  assert(gradient.size() == p.size() && m.size() == p.size());
  return all_finite(p.size(), pool, [&](Range range) {
    return HWY_DYNAMIC_DISPATCH(sgd_momentum_kernel)(step, p.data(), gradient.data(), m.data(), range);
  });
}

bool lion(const LionStep& step, std::span<float> p, std::span<float> gradient, std::span<float> m, ThreadPool& pool) {
  assert(gradient.size() == p.size() && m.size() == p.size());
  const LionFactors factors = factors_of(step);
  return all_finite(p.size(), pool, [&](Range range) {
    return HWY_DYNAMIC_DISPATCH(lion_kernel)(factors, p.data(), gradient.data(), m.data(), range);
  });
}

void nesterov(float momentum, float grad_factor, std::span<float> gradient, std::span<float> m, ThreadPool& pool) {
  assert(gradient.size() == m.size());
  const double one_minus_momentum = 1.0 - static_cast<double>(momentum);
  const NesterovFactors factors{.gradient = static_cast<float>(one_minus_momentum * static_cast<double>(grad_factor)),
                                .momentum = momentum};
  pool.parallel_for(m.size(), kGrain, [&](Range range) {
    HWY_DYNAMIC_DISPATCH(nesterov_kernel)(factors, gradient.data(), m.data(), range);
  });
}

bool decay_and_step(float decay, float step, std::span<const float> direction, std::span<float> p,
                    std::span<float> gradient, ThreadPool& pool) {
  assert(gradient.size() == p.size() && direction.size() == p.size());
  return all_finite(p.size(), pool, [&](Range range) {
    return HWY_DYNAMIC_DISPATCH(decay_and_step_kernel)(decay, step, direction.data(), p.data(), gradient.data(), range);
  });
}

}  // namespace ane::math

#endif  // HWY_ONCE
