#pragma once

#include <chrono>

#include "ane/model/model.h"

namespace ane::model {

/// Adds the time until its end to one part of a step. Phases do not nest.
class PhaseTimer {
 public:
  explicit PhaseTimer(Duration& total) : total_(total) {}
  ~PhaseTimer() { total_ += std::chrono::steady_clock::now() - start_; }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  Duration& total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace ane::model
