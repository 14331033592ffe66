#pragma once

#include <chrono>
#include <cstdint>

#include "ane/cli/terminal.h"
#include "ane/train/log_state.h"
#include "ane/train/observer.h"

namespace ane::cli {

/// Draws the terminal's progress bar, not more often than the eye can follow.
class StepBar {
 public:
  StepBar(Terminal& terminal, const train::LogState& log, std::int64_t steps)
      : terminal_(&terminal), log_(&log), steps_(steps) {}

  void set_tokens_per_step(double tokens) noexcept { tokens_per_step_ = tokens; }
  /// `ms_per_step`: expected time of a remaining step.
  void draw(const train::StepEvent& event, double ms_per_step);

 private:
  Terminal* terminal_;
  const train::LogState* log_;
  std::int64_t steps_;
  double tokens_per_step_ = 0;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace ane::cli
