#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ane/core/own_executable.h"
#include "ane/explore/experiments.h"

namespace ane::explore {

struct Exploration {
  std::string executable = own_executable();  ///< ane-train
  bool quick = false;                         ///< without the experiments that take minutes
  std::vector<std::string> environment = {};  ///< of the processes
  /// Multiplies the time limits.
  double patience = 1;
  /// Called about ten times per second; what it throws ends the exploration and its processes.
  std::function<void()> check_stop = [] {};
};

/// Called before and after each experiment.
struct ExplorationListener {
  std::function<void(std::size_t index, std::size_t count, const Experiment& experiment)> begins;
  std::function<void(const Experiment& experiment, const Finding& finding)> ends;
};

/// Makes the experiments, one after the other. Their processes are the executable with the variable kStageVariable; one
/// that fails, crashes or exceeds its time limit is a finding, too.
void explore(const Exploration& exploration, const ExplorationListener& listener);

}  // namespace ane::explore
