#pragma once

#include "ane/train/options.h"
#include "ane/train/state.h"

/// Dynamic loss scaling (Micikevicius et al. 2018, section 3.2) as transitions of Progress: loss_scale, good_updates
/// and skipped_in_row; the rest is returned as it came. Scales stay powers of two times the initial one, so scaling
/// rounds nothing.
namespace ane::train {

/// Below this the scale is not what overflows, and halving on would reach fp32's subnormals.
inline constexpr double kSmallestLossScale = 1.0 / (1 << 24);

/// Doubles the scale, up to `largest`, after `growth_interval` good updates.
[[nodiscard]] Progress after_good_update(Progress progress, const LossScaleOptions& options) noexcept;
/// Halves the scale, down to kSmallestLossScale.
[[nodiscard]] Progress after_skipped_update(Progress progress, const LossScaleOptions& options) noexcept;

}  // namespace ane::train
