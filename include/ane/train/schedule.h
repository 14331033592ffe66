#pragma once

#include <cstdint>

#include "ane/train/options.h"

namespace ane::train {

/// The learning rate of `update` (0-based) of `total_updates`: lr * (update + 1) / warmup during warm-up, then lr, or
/// half a cosine from lr at the end of warm-up down to min_lr at `total_updates`.
[[nodiscard]] double lr_at(std::int64_t update, std::int64_t total_updates, const OptimizerOptions& options) noexcept;

}  // namespace ane::train
