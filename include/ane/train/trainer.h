#pragma once

#include <atomic>
#include <vector>

#include "ane/data/source.h"
#include "ane/device/budget.h"
#include "ane/model/model.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/state.h"

namespace ane::train {

/// Why run() came back.
enum class Outcome {
  finished,
  restart_needed,  ///< the compile budget is used up; state is at a whole update, ready for exec
  interrupted      ///< `stop` was set; state is at a whole update, a checkpoint is written if a directory was given
};

/// The training loop. It reads like the paragraph that describes it: compile this update's weights if the budget
/// allows, run accum_steps sequences, update.
class Trainer {
 public:
  struct Parts {
    model::Model& model;
    const data::Source& source;
    surface::SurfacePool& surfaces;
    math::ThreadPool& threads;
    device::CompileBudget& budget;
    StateArena& state;
    std::vector<Observer*> observers;
    const std::atomic<bool>& stop;  ///< set by a signal handler
  };

  /// Throws UsageError if the budget cannot hold even one update, with the smallest value that would do.
  Trainer(const Parts& parts, const TrainOptions& options);

  /// Trains until done, out of budget or stopped. Throws DivergedError, DeviceError, FileError.
  [[nodiscard]] Outcome run();

 private:
  Parts parts_;
  TrainOptions options_;
  std::vector<float> gradients_;
};

}  // namespace ane::train
