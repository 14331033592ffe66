#include "ane/train/optimizer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

using model::Parameter;
using model::ParameterLayout;

constexpr std::array kRules = {&kAdamW, &kSgd};

const UpdateRule& rule_of(OptimizerKind kind) noexcept {
  return **std::ranges::find(kRules, kind, [](const UpdateRule* rule) { return rule->kind; });
}

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
  const UpdateRule& rule = rule_of(options.kind);
  assert(std::ranges::equal(state.slots(), rule.slots));
  std::optional<std::string> not_finite;
  for (const Parameter& parameter : layout.parameters()) {
    const std::span<float> gradient = slice(gradients, parameter);
    TensorState tensor{slice(state.parameters(), parameter), gradient, {}, parameter.decays()};
    for (std::size_t i = 0; i < rule.slots.size(); ++i) tensor.slots.at(i) = slice(state.slot(i), parameter);
    if (!rule.update(options, step, tensor, threads) && !not_finite) not_finite = parameter.name;
  }
  return not_finite;
}

SlotNames optimizer_slots(OptimizerKind kind) noexcept { return rule_of(kind).slots; }

bool is_optimizer_slot(std::string_view name) noexcept {
  return std::ranges::any_of(kRules, [&](const UpdateRule* rule) { return std::ranges::count(rule->slots, name) > 0; });
}

}  // namespace ane::train
