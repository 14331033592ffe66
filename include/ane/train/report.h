#pragma once

#include <cstdint>
#include <string>

#include "ane/model/model.h"
#include "ane/surface/pool.h"
#include "ane/train/state.h"

namespace ane::train {

/// What the report is made from.
struct RunReport {
  RunTotals totals;
  std::int64_t wall_ns = 0;  ///< since totals.started_ns
  model::Flops flops_per_step;
  std::string device;   ///< "host", "ane"
  bool on_ane = false;  ///< whether the ANE did the work
  std::string weights;  ///< how kernels got theirs, in words
  double ane_peak_tflops = kAnePeakTflops;
  surface::PoolCounters surfaces;  ///< of the last process; what it holds now

  /// TFLOP/s of fp16 that the field's drivers print a share of.
  static constexpr double kAnePeakTflops = 15.8;
};

/// Sustained rates over the time that steps and updates took, in TFLOP/s; 0 if nothing was trained.
struct Rates {
  double device = 0;  ///< what kernels did
  double total = 0;   ///< the CPU's part included
};
[[nodiscard]] Rates sustained_rates(const model::Flops& flops_per_step, std::int64_t steps,
                                    std::int64_t train_ns) noexcept;

/// The efficiency report, ending in a newline. Its parts (startup, compile, train, validation, checkpoints, restarts,
/// other) add up to the wall time.
[[nodiscard]] std::string efficiency_report(const RunReport& report);

/// A line about a run with baked weights of which more than a third was compiling: what would have been saved if
/// `kernels`, which take their weights with their input, had been compiled once and no step were slower for it. Empty
/// for another run.
[[nodiscard]] std::string compile_hint(const RunReport& report, int kernels);

}  // namespace ane::train
