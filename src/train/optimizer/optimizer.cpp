#include "ane/train/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/nn.h"

#include "optimizer/update_rule.h"

namespace ane::train {

namespace {

using model::Parameter;
using model::ParameterLayout;

constexpr std::array kRules = {&kAdamW, &kMuon, &kLion, &kSgd};

const UpdateRule& rule_of(OptimizerKind kind) noexcept {
  return **std::ranges::find(kRules, kind, [](const UpdateRule* rule) { return rule->info.kind; });
}

MappedMemory workspace_of_bytes(std::size_t bytes) {
  if (bytes == 0) return {};
  try {
    return MappedMemory::anonymous(bytes);
  } catch (const std::system_error& error) {
    throw DeviceError(
        fmt::format("out of memory for the optimizer's working memory of {} bytes: {}", bytes, error.code().message()));
  }
}

/// The values of `parameter` in the slot of that name; empty if it has none.
std::span<float> slot_of(StateArena& state, std::string_view name, const Parameter& parameter) {
  const std::span<const StateSlot> slots = state.slots();
  const auto slot = std::ranges::find(slots, name, &StateSlot::name);
  if (slot == slots.end()) return {};
  const Parameter* const placed = slot->layout.find(parameter.name);
  if (placed == nullptr) return {};
  return slice(state.slot(static_cast<std::size_t>(slot - slots.begin())), *placed);
}

std::string name_of_not_finite(std::span<const Piece> pieces, std::span<const float> gradients,
                               math::ThreadPool& threads) {
  for (const Piece& piece : pieces)
    if (!std::isfinite(math::sum_of_squares(piece.of(gradients), threads)))
      return fmt::format("the gradient of {} is not finite", piece.parameter.name);
  return "a gradient is not finite";
}

}  // namespace

GradientSum sum_of_gradients(std::span<const Piece> pieces, std::span<const float> gradients,
                             math::ThreadPool& threads) {
  GradientSum sum;
  for (const Piece& piece : pieces) sum.squares += math::sum_of_squares(piece.of(gradients), threads);
  if (!std::isfinite(sum.squares)) sum.not_finite = name_of_not_finite(pieces, gradients, threads);
  return sum;
}

// One sum over the whole array is faster than one for each tensor.
GradientSum sum_of_gradients(const ParameterLayout& layout, std::span<const float> gradients,
                             math::ThreadPool& threads) {
  GradientSum sum{.squares = math::sum_of_squares(gradients, threads)};
  if (!std::isfinite(sum.squares)) sum.not_finite = name_of_not_finite(whole_pieces(layout), gradients, threads);
  return sum;
}

GradientNorm gradient_norm(const GradientSum& sum, double factor, double grad_clip) {
  const double norm = factor * std::sqrt(sum.squares);
  if (!std::isfinite(norm)) return {norm, sum.not_finite.value_or("a gradient is not finite")};
  const bool clipped = grad_clip > 0 && grad_clip <= kLargestNorm;
  if (!clipped && norm > kLargestNorm)
    return {norm, fmt::format("the gradient norm is {:.3g}; above {:.0e}, fp32 moments overflow", norm, kLargestNorm)};
  return {norm, std::nullopt};
}

GradientNorm gradient_norm(const ParameterLayout& layout, std::span<const float> gradients, double factor,
                           double grad_clip, math::ThreadPool& threads) {
  return gradient_norm(sum_of_gradients(layout, gradients, threads), factor, grad_clip);
}

std::vector<OptimizerInfo> all_optimizers() {
  std::vector<OptimizerInfo> all;
  for (const UpdateRule* rule : kRules) all.push_back(rule->info);
  return all;
}

const OptimizerInfo& optimizer_info(OptimizerKind kind) noexcept { return rule_of(kind).info; }

StateSlots optimizer_slots(const OptimizerOptions& options, const ParameterLayout& layout) {
  StateSlots slots;
  for (const SlotRule& slot : rule_of(options.kind).slots) {
    ParameterLayout part = layout.part([&](const Parameter& parameter) { return slot.has(options, parameter); });
    if (!part.parameters().empty()) slots.push_back({slot.name, std::move(part)});
  }
  return slots;
}

bool is_optimizer_slot(std::string_view name) noexcept {
  return std::ranges::any_of(kRules, [&](const UpdateRule* rule) {
    return std::ranges::find(rule->slots, name, &SlotRule::name) != rule->slots.end();
  });
}

std::size_t optimizer_workspace_bytes(const OptimizerOptions& options, const ParameterLayout& layout) {
  const UpdateRule& rule = rule_of(options.kind);
  std::size_t largest = 0;
  if (rule.workspace_size != nullptr)
    for (const Parameter& parameter : layout.parameters()) largest = std::max(largest, rule.workspace_size(parameter));
  return largest * sizeof(float);
}

bool needs_whole_tensor(OptimizerKind kind, const Parameter& parameter) {
  const UpdateRule& rule = rule_of(kind);
  return rule.needs_whole != nullptr && rule.needs_whole(parameter);
}

Optimizer::Optimizer(const OptimizerOptions& options, const ParameterLayout& layout)
    : options_(options), workspace_(workspace_of_bytes(optimizer_workspace_bytes(options, layout))) {}

std::optional<std::string> Optimizer::update(const UpdateStep& step, std::span<const Piece> pieces,
                                             std::span<float> gradients, StateArena& state, math::ThreadPool& threads) {
  const UpdateRule& rule = rule_of(options_.kind);
  const std::span<float> workspace(reinterpret_cast<float*>(workspace_.data()), workspace_.size() / sizeof(float));
  const UpdateContext context{options_, step, workspace, threads};
  std::optional<std::string> not_finite;
  for (const Piece& piece : pieces) {
    TensorState tensor{piece.parameter, piece.of(state.parameters()), piece.of(gradients), {}};
    for (std::size_t i = 0; i < rule.slots.size(); ++i)
      tensor.slots.at(i) = slot_of(state, rule.slots[i].name, piece.parameter);
    if (!rule.update(context, tensor) && !not_finite) not_finite = piece.parameter.name;
  }
  return not_finite;
}

}  // namespace ane::train
