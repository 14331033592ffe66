#pragma once

#include "ane/train/options.h"
#include "ane/train/state.h"

/// Handling of skipped updates. Dynamic loss scaling (Micikevicius et al. 2018, section 3.2) as transitions of
/// loss_scale, good_updates and skipped_in_row in Progress; other members are unchanged. Scales stay powers of two
/// times the initial one, so scaling does not round.
namespace ane::train {

/// Below this the scale is not the cause of overflows, and further halving would reach fp32 subnormals.
inline constexpr double kSmallestLossScale = 1.0 / (1 << 24);

/// Number of updates that count as recent when a run ends. Training has diverged if more than half of them (or of all
/// updates, if there were fewer) were skipped. One or two skips are normal while a loss scale that is too large
/// decreases.
inline constexpr int kRecentUpdates = 10;
inline constexpr int kFewestSkips = 3;

/// Number of skips among the recent updates.
struct RecentSkips {
  std::int64_t updates = 0;
  std::int64_t skipped = 0;
  [[nodiscard]] bool diverged() const noexcept { return skipped >= kFewestSkips && 2 * skipped > updates; }
};
/// Records an update in `updates`, `skipped_updates` and `recent_skips` of the totals.
void count_update(RunTotals& totals, bool skipped) noexcept;
[[nodiscard]] RecentSkips recent_skips(const RunTotals& totals) noexcept;

/// Doubles the scale, up to `largest`, after `growth_interval` good updates.
[[nodiscard]] Progress after_good_update(Progress progress, const LossScaleOptions& options) noexcept;
/// Halves the scale, down to kSmallestLossScale.
[[nodiscard]] Progress after_skipped_update(Progress progress, const LossScaleOptions& options) noexcept;

}  // namespace ane::train
