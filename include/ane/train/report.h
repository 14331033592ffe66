#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ane/model/model.h"
#include "ane/surface/pool.h"
#include "ane/train/state.h"

namespace ane::train {

/// Input of the report.
struct RunReport {
  RunTotals totals;
  std::int64_t wall_ns = 0;  ///< since totals.started_ns
  model::Flops flops_per_step;
  std::string device;                   ///< "host", "ane"
  std::optional<double> peak_tflops{};  ///< Device::peak_tflops
  std::string weights;                  ///< readable weight mode
  surface::PoolCounters surfaces;       ///< of the last process, including current use
};

/// Sustained rates over the time of steps and updates, in TFLOP/s; 0 if nothing was trained.
struct Rates {
  double device = 0;  ///< kernels only
  double total = 0;   ///< including CPU work
};
[[nodiscard]] Rates sustained_rates(const model::Flops& flops_per_step, std::int64_t steps,
                                    std::int64_t train_ns) noexcept;

/// The efficiency report, ending in a newline. Its parts (startup, compile, train, validation, checkpoints, restarts,
/// other) add up to the wall time.
[[nodiscard]] std::string efficiency_report(const RunReport& report);

/// For a run with baked weights that spent more than a third of its time compiling: a line that estimates the time
/// saved if `kernels` kernels with dynamic weights had been compiled once, at equal step times. Empty for any other
/// run.
[[nodiscard]] std::string compile_hint(const RunReport& report, int kernels);

}  // namespace ane::train
