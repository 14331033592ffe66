#include "ane/train/optimizer.h"

#include <cmath>

#include <fmt/format.h>

#include "ane/math/nn.h"

namespace ane::train {

namespace {

using model::Parameter;
using model::ParameterLayout;

std::string name_of_not_finite(const ParameterLayout& layout, std::span<const float> gradients,
                               math::ThreadPool& threads) {
  for (const Parameter& parameter : layout.parameters())
    if (!std::isfinite(math::sum_of_squares(slice(gradients, parameter), threads)))
      return fmt::format("the gradient of {} is not finite", parameter.name);
  return "a gradient is not finite";
}

}  // namespace

GradientNorm gradient_norm(const ParameterLayout& layout, std::span<const float> gradients, double factor,
                           double grad_clip, math::ThreadPool& threads) {
  const double norm = factor * std::sqrt(math::sum_of_squares(gradients, threads));
  if (!std::isfinite(norm)) return {norm, name_of_not_finite(layout, gradients, threads)};
  const bool clipped = grad_clip > 0 && grad_clip <= kLargestNorm;
  if (!clipped && norm > kLargestNorm)
    return {norm, fmt::format("the gradient norm is {:.3g}; above {:.0e}, fp32 moments overflow", norm, kLargestNorm)};
  return {norm, std::nullopt};
}

std::optional<std::string> apply_update(const OptimizerOptions& options, const UpdateStep& step,
                                        const ParameterLayout& layout, std::span<float> gradients, StateArena& state,
                                        math::ThreadPool& threads) {
  std::optional<std::string> not_finite;
  const auto lr = static_cast<float>(step.lr);
  const auto factor = static_cast<float>(step.grad_factor);
  for (const Parameter& parameter : layout.parameters()) {
    const auto values = slice(state.parameters(), parameter);
    const auto gradient = slice(gradients, parameter);
    const auto decay = static_cast<float>(parameter.decays() ? options.weight_decay : 0);
    const auto note = [&](bool finite) {
      if (!finite && !not_finite) not_finite = parameter.name;
    };
    if (options.kind == OptimizerKind::sgd) {
      note(math::sgd(lr, decay, factor, values, gradient, threads));
      continue;
    }
    const math::AdamWStep adamw{.lr = lr,
                                .beta1 = static_cast<float>(options.beta1),
                                .beta2 = static_cast<float>(options.beta2),
                                .eps = static_cast<float>(options.eps),
                                .weight_decay = decay,
                                .grad_factor = factor,
                                .update = step.update_count};
    note(math::adamw(adamw, values, gradient, slice(state.moment(0), parameter), slice(state.moment(1), parameter),
                     threads));
  }
  return not_finite;
}

int optimizer_moments(OptimizerKind kind) noexcept { return kind == OptimizerKind::adamw ? 2 : 0; }

}  // namespace ane::train
