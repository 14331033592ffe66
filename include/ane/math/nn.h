#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ane/math/threads.h"

/// The parts of a transformer step that stay on the CPU, in fp32. Activations are channel-first: a [C, S] array holds
/// channel c of position s at c * S + s, as surfaces do.
namespace ane::math {

/// y = w * x * r with r = (mean over c of x^2 + eps)^-1/2 at each position.
///   x, y [C, S]; w [C]; r [S] is written for the backward pass
void rms_norm_forward(std::span<const float> x, std::span<const float> w, float eps, std::span<float> y,
                      std::span<float> r, ThreadPool& pool);

/// dx = base + r * (w * dy - x * r^2 / C * sum_c(w * dy * x)),  dw += sum_s(dy * x * r)
///   x, dy, base, dx [C, S]; w, dw [C]; r [S] as rms_norm_forward left it. `base` is the gradient of the
///   residual path around the norm; dx may be the same memory. dw accumulates over micro-batches; an empty one is
///   not computed.
void rms_norm_backward(std::span<const float> x, std::span<const float> dy, std::span<const float> w,
                       std::span<const float> r, std::span<const float> base, std::span<float> dx, std::span<float> dw,
                       ThreadPool& pool);

/// sums[c % n] += sum over positions of x[c], c ascending: the gradient of n values that were added to the channels.
///   x [C, seq_len] with C a multiple of n; sums [n]
void add_channel_sums(std::span<const float> x, std::size_t seq_len, std::span<float> sums, ThreadPool& pool);

/// Mean cross-entropy of `targets` under softmax(logits), by log-sum-exp, summed in double in position order.
///   logits [S, V], one row per position: overwritten by the gradient grad_scale / S * (softmax - onehot) unless
///   grad_scale is 0; then only the loss is computed and logits are unchanged
///   targets [S], each below V (checked by the caller)
///   losses [S], written for each position
///   loss_mask [S], 0 for a position whose loss and gradient are 0; empty: all positions count
double cross_entropy(std::span<float> logits, std::span<const std::uint32_t> targets, float grad_scale,
                     std::span<double> losses, ThreadPool& pool, std::span<const std::uint8_t> loss_mask = {});

/// y += x.
void add(std::span<const float> x, std::span<float> y, ThreadPool& pool);

/// values *= factor.
void scale(std::span<float> values, float factor, ThreadPool& pool);

/// Sum of squares in double, in fixed blocks, independent of the thread count. NaN and infinity propagate.
[[nodiscard]] double sum_of_squares(std::span<const float> values, ThreadPool& pool);

struct AdamWStep {
  float lr = 0;
  float beta1 = 0.9F;
  float beta2 = 0.95F;
  float eps = 1e-8F;
  float weight_decay = 0;   ///< decoupled: p -= lr * weight_decay * p
  float grad_factor = 1;    ///< gradients are first multiplied by this (unscaling, averaging and clipping)
  std::int64_t update = 1;  ///< counts from 1, for the bias correction
};

/// One pass over parameters, gradients and moments (Loshchilov and Hutter 2019, algorithm 2 with PyTorch's order of
/// operations): m, v and p are updated, and gradients are zeroed for the next accumulation. Returns whether all new
/// values are finite.
[[nodiscard]] bool adamw(const AdamWStep& step, std::span<float> p, std::span<float> gradient, std::span<float> m,
                         std::span<float> v, ThreadPool& pool);

/// p -= lr * (grad_factor * gradient + weight_decay * p); gradients are zeroed. Returns whether all new values are
/// finite.
[[nodiscard]] bool sgd(float lr, float weight_decay, float grad_factor, std::span<float> p, std::span<float> gradient,
                       ThreadPool& pool);

struct MomentumStep {
  float lr = 0;
  float momentum = 0.9F;
  float weight_decay = 0;  ///< decoupled: it does not enter the momentum
  float grad_factor = 1;
};

/// m = momentum * m + grad_factor * gradient;  p -= lr * (m + weight_decay * p). This is SGDW (Loshchilov and Hutter
/// 2019, algorithm 1) with PyTorch's scale of the momentum. Gradients are zeroed. Returns whether all new values are
/// finite.
[[nodiscard]] bool sgd_momentum(const MomentumStep& step, std::span<float> p, std::span<float> gradient,
                                std::span<float> m, ThreadPool& pool);

struct LionStep {
  float lr = 0;
  float beta1 = 0.9F;
  float beta2 = 0.99F;
  float weight_decay = 0;  ///< decoupled
  float grad_factor = 1;
};

/// With g = grad_factor * gradient (Chen et al. 2023, algorithm 2; the sign of 0 is 0):
///   p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p);  m = beta2 * m + (1 - beta2) * g
/// Gradients are zeroed. Returns whether all new values are finite.
[[nodiscard]] bool lion(const LionStep& step, std::span<float> p, std::span<float> gradient, std::span<float> m,
                        ThreadPool& pool);

/// With g = grad_factor * gradient: m = momentum * m + (1 - momentum) * g, and the gradient becomes Nesterov's
/// (1 - momentum) * g + momentum * m.
void nesterov(float momentum, float grad_factor, std::span<float> gradient, std::span<float> m, ThreadPool& pool);

/// p = decay * p - step * direction; gradients are zeroed. Returns whether all new values are finite.
[[nodiscard]] bool decay_and_step(float decay, float step, std::span<const float> direction, std::span<float> p,
                                  std::span<float> gradient, ThreadPool& pool);

}  // namespace ane::math
