#include "ane/train/schedule.h"

#include <cmath>
#include <numbers>

namespace ane::train {

double lr_at(std::int64_t update, std::int64_t total_updates, const OptimizerOptions& options) noexcept {
  if (update < options.warmup)
    return options.lr * static_cast<double>(update + 1) / static_cast<double>(options.warmup);
  if (options.schedule == ScheduleKind::constant) return options.lr;
  if (update >= total_updates) return options.min_lr;
  const double progress =
      static_cast<double>(update - options.warmup) / static_cast<double>(total_updates - options.warmup);
  return options.min_lr + (options.lr - options.min_lr) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace ane::train
