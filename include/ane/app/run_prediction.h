#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ane/app/part_times.h"
#include "ane/app/plan.h"
#include "ane/cli/settings.h"

namespace ane::app {

/// The predicted wall time of a run on one machine, in seconds.
struct RunPrediction {
  double update_s = 0;    ///< the steps of an update, its optimizer and its compile round
  double training_s = 0;  ///< all steps and updates
  double compiles_s = 0;  ///< all compile rounds, as far as the steps do not hide them
  double restarts_s = 0;  ///< starting the first process and its successors, which are slower at first
  double validations_s = 0;
  double checkpoint_s = 0;  ///< the last one; others are written beside the steps
  std::int64_t validations = 0;
  [[nodiscard]] double total_s() const noexcept {
    return training_s + compiles_s + restarts_s + validations_s + checkpoint_s;
  }
};

/// `held_out`: the number of held-out sequences. `is_compiled_beside`: whether the steps run on another processor than
/// a pipeline's compiles, which then do not slow them down. The time of text samples is not included.
[[nodiscard]] RunPrediction predict_run(const PartTimes& parts, const CompilePlan& compiles,
                                        const cli::Settings& settings, std::size_t held_out, bool is_compiled_beside);

/// For people: what was measured and what follows from it.
[[nodiscard]] std::vector<std::string> prediction_lines(const PartTimes& parts, const RunPrediction& prediction,
                                                        const cli::Settings& settings);

}  // namespace ane::app
