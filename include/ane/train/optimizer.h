#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ane/math/threads.h"
#include "ane/model/parameters.h"
#include "ane/train/options.h"
#include "ane/train/state.h"

namespace ane::train {

/// The largest gradient norm that is applied: its square still fits Adam's second moment in fp32.
inline constexpr double kLargestNorm = 1e18;

struct GradientNorm {
  double norm = 0;  ///< Euclidean, over all parameters
  /// Why this gradient must not be applied, naming the responsible tensor if there is one.
  std::optional<std::string> unusable;
};

/// The norm of factor * gradients, summed in double. It is unusable if an element is not finite, or if clipping to
/// `grad_clip` (0: off) leaves it above kLargestNorm.
[[nodiscard]] GradientNorm gradient_norm(const model::ParameterLayout& layout, std::span<const float> gradients,
                                         double factor, double grad_clip, math::ThreadPool& threads);

struct UpdateStep {
  double lr = 0;
  double grad_factor = 1;         ///< averaging, unscaling and clipping
  std::int64_t update_count = 1;  ///< applied updates including this one, for AdamW's bias correction
};

/// Updates every tensor, with weight decay only where Parameter::decays(), and zeroes the gradients. The
/// state must have the optimizer's slots. Returns the name of the first tensor with non-finite values or slots: the
/// state is then unusable.
[[nodiscard]] std::optional<std::string> apply_update(const OptimizerOptions& options, const UpdateStep& step,
                                                      const model::ParameterLayout& layout, std::span<float> gradients,
                                                      StateArena& state, math::ThreadPool& threads);

/// The arrays that the optimizer keeps; a checkpoint has a file for each.
[[nodiscard]] SlotNames optimizer_slots(OptimizerKind kind) noexcept;
/// Whether any optimizer has a slot of this name.
[[nodiscard]] bool is_optimizer_slot(std::string_view name) noexcept;

}  // namespace ane::train
