#pragma once

#include <cstdint>

#include "ane/train/observer.h"
#include "ane/train/state.h"

namespace ane::train {

/// The system's monotonic clock, which continues across exec.
[[nodiscard]] std::int64_t monotonic_ns() noexcept;

/// The time since the machine was started, including that in which it was suspended. Setting the clock does not change
/// it, and it continues across exec.
[[nodiscard]] std::int64_t since_boot_ns() noexcept;

[[nodiscard]] constexpr double milliseconds(Duration time) noexcept { return static_cast<double>(time.count()) / 1e6; }
[[nodiscard]] constexpr double milliseconds(std::int64_t ns) noexcept { return static_cast<double>(ns) / 1e6; }

/// Peak resident size of this process, in bytes.
[[nodiscard]] std::int64_t peak_memory_bytes() noexcept;

/// Attributes every moment of a run to one part of its totals, so that the parts add up to the wall time however often
/// the process is replaced: the totals are part of the state.
class RunClock {
 public:
  /// Starts the run now unless `started_ns` is set.
  explicit RunClock(RunTotals& totals) noexcept;

  /// Adds the time since the last booking to `part`, and returns it.
  Duration book(std::int64_t RunTotals::*part) noexcept;
  /// Attributes that time to no part: the report calls it "other".
  void leave_out() noexcept;

 private:
  RunTotals* totals_;
};

}  // namespace ane::train
