#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ane::train {

/// A line about an update, without its validation.
struct UpdateLine {
  std::int64_t update = 0;
  std::int64_t updates = 0;  ///< of the whole run; 0: not known
  double epoch = 0;          ///< passes over the training data so far; 0: not known
  double train_loss = 0;     ///< mean since the last line
  double lr = 0;
  double grad_norm = 0;
  double tokens_per_second = 0;
  double seconds_left = 0;
};

/// The mean losses of the newest updates, smoothed, because those of a few sequences differ more than training changes
/// them. Plain data that lives in the state.
class RecentLosses {
 public:
  static constexpr std::size_t kMost = 16;
  /// A loss that is not finite leaves a gap.
  void add(double loss) noexcept {
    constexpr double kWeight = 0.2;
    const bool is_finite = std::isfinite(loss);
    if (is_finite) mean_ = std::exchange(has_mean_, true) ? mean_ + kWeight * (loss - mean_) : loss;
    losses_[added_++ % kMost] = is_finite ? mean_ : loss;
  }
  /// From the oldest to the newest.
  [[nodiscard]] std::vector<double> in_order() const {
    const std::size_t count = added_ < kMost ? added_ : kMost;
    std::vector<double> losses;
    for (std::size_t i = added_ - count; i < added_; ++i) losses.push_back(losses_[i % kMost]);
    return losses;
  }

 private:
  std::array<double, kMost> losses_{};
  std::size_t added_ = 0;
  double mean_ = 0;
  bool has_mean_ = false;
};

/// What a terminal's lines need from the earlier processes of a run. Plain data that lives in the state.
struct LogState {
  std::int64_t steps = 0;     ///< since the last line
  double loss_sequences = 0;  ///< of `loss_sum`, as in UpdateEvent
  double loss_sum = 0;        ///< of the tokens that count since the last line, in batches with a finite loss
  /// Monotonic clock at the last line, plus the time of validations and samples since then.
  std::int64_t interval_ns = 0;
  std::int64_t measured_step = 0;  ///< the remaining time is estimated from the steps after this one, ...
  std::int64_t measured_ns = 0;    ///< ... which began at this time
  UpdateLine line;                 ///< the newest
  RecentLosses recent_losses;      ///< for the progress bar
  bool line_waits = false;         ///< it is printed with its validation
  bool began = false;
  bool warned_of_rise = false;
};

}  // namespace ane::train
