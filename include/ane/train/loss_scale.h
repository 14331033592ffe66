#pragma once

#include "ane/train/options.h"
#include "ane/train/state.h"

/// What becomes of updates that are skipped. Dynamic loss scaling (Micikevicius et al. 2018, section 3.2) as
/// transitions of Progress: loss_scale, good_updates and skipped_in_row; the rest is returned as it came. Scales stay
/// powers of two times the initial one, so scaling rounds nothing.
namespace ane::train {

/// Below this the scale is not what overflows, and halving on would reach fp32's subnormals.
inline constexpr double kSmallestLossScale = 1.0 / (1 << 24);

/// Updates that count as recent when a run ends. Training has diverged if more than half of them, or of those that the
/// run has made if it made fewer, were skipped. One or two skips are how a loss scale that is too large comes down.
inline constexpr int kRecentUpdates = 10;
inline constexpr int kFewestSkips = 3;

/// Of the recent updates.
struct RecentSkips {
  std::int64_t updates = 0;
  std::int64_t skipped = 0;
  [[nodiscard]] bool diverged() const noexcept { return skipped >= kFewestSkips && 2 * skipped > updates; }
};
/// Notes an update in `updates`, `skipped_updates` and `recent_skips` of the totals.
void count_update(RunTotals& totals, bool skipped) noexcept;
[[nodiscard]] RecentSkips recent_skips(const RunTotals& totals) noexcept;

/// Doubles the scale, up to `largest`, after `growth_interval` good updates.
[[nodiscard]] Progress after_good_update(Progress progress, const LossScaleOptions& options) noexcept;
/// Halves the scale, down to kSmallestLossScale.
[[nodiscard]] Progress after_skipped_update(Progress progress, const LossScaleOptions& options) noexcept;

}  // namespace ane::train
