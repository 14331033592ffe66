#include "ane/train/loss_scale.h"

#include <algorithm>
#include <bit>

namespace ane::train {

void count_update(RunTotals& totals, bool skipped) noexcept {
  constexpr std::uint64_t kWindow = (std::uint64_t{1} << static_cast<unsigned>(kRecentUpdates)) - 1;
  ++totals.updates;
  if (skipped) ++totals.skipped_updates;
  totals.recent_skips = (totals.recent_skips << 1U | (skipped ? 1U : 0U)) & kWindow;
}

RecentSkips recent_skips(const RunTotals& totals) noexcept {
  return {std::min<std::int64_t>(totals.updates, kRecentUpdates), std::popcount(totals.recent_skips)};
}

Progress after_good_update(Progress progress, const LossScaleOptions& options) noexcept {
  progress.skipped_in_row = 0;
  ++progress.good_updates;
  if (options.dynamic && progress.good_updates >= options.growth_interval) {
    progress.loss_scale = std::max(progress.loss_scale, std::min(2 * progress.loss_scale, options.largest));
    progress.good_updates = 0;
  }
  return progress;
}

Progress after_skipped_update(Progress progress, const LossScaleOptions& options) noexcept {
  ++progress.skipped_in_row;
  progress.good_updates = 0;
  if (options.dynamic)
    progress.loss_scale = std::min(progress.loss_scale, std::max(progress.loss_scale / 2, kSmallestLossScale));
  return progress;
}

}  // namespace ane::train
