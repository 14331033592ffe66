#pragma once

#include <chrono>
#include <cstdint>

#include "ane/cli/terminal.h"
#include "ane/train/observer.h"

namespace ane::cli {

/// Draws the terminal's progress bar, not more often than the eye can follow.
class StepBar {
 public:
  StepBar(Terminal& terminal, std::int64_t steps) : terminal_(&terminal), steps_(steps) {}

  /// `ms_per_step`: expected time of a remaining step.
  void draw(const train::StepEvent& event, double ms_per_step);

 private:
  Terminal* terminal_;
  std::int64_t steps_;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace ane::cli
