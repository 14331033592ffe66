#include "ane/train/loss_scale.h"

#include <algorithm>

namespace ane::train {

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
