#pragma once

#include <cstddef>

#include "ane/app/compose.h"
#include "ane/data/source.h"

namespace ane::app {

/// What the parts of a run take on this machine, in seconds.
struct PartTimes {
  double startup_s = 0;      ///< of a process, until it can compile
  double first_round_s = 0;  ///< giving all kernels their weights in a new process, by compiling or through their input
  double later_round_s = 0;  ///< the same after an update, and what the next step takes beyond others
  std::size_t slots = 1;     ///< sequences that a step and an evaluation take at once
  double step_s = 0;         ///< forward and backward of as many sequences
  double warm_up_s = 0;      ///< what the first step of a process takes beyond others
  double backward_s = 0;     ///< the part of it after the gradients of the last layer are complete
  double optimizer_s = 0;    ///< updating the parameters
  double evaluation_s = 0;   ///< forward of as many held-out sequences; 0 if there are none
  double checkpoint_s = 0;   ///< writing the state to the checkpoint directory; 0 if there is none
};

/// Runs each part on the device of `context` with the first samples of `source`: at least four times, of which the
/// first is not counted, and for half a second. Makes at most `later_rounds` compile rounds after the first; if none,
/// a later round is taken to cost as much per compile as the first. The parameters stay as they were initialized. Sets
/// all members but `startup_s`. Throws DeviceError, FileError, and UsageError if there is not enough memory.
[[nodiscard]] PartTimes measure_parts(RunContext& context, const data::Source& source, int later_rounds);

}  // namespace ane::app
