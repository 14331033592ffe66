#pragma once

#include <cstdint>

#include "ane/train/observer.h"
#include "ane/train/state.h"

namespace ane::train {

/// The monotonic clock, which is the system's: it goes on across exec.
[[nodiscard]] std::int64_t monotonic_ns() noexcept;

/// The largest resident size that this process has had, in bytes.
[[nodiscard]] std::int64_t peak_memory_bytes() noexcept;

/// Books every moment of a run under one part of its totals, so that the parts add up to its wall time however often
/// the process is replaced: what has been booked lies in the totals, and so in the state.
class RunClock {
 public:
  /// Starts the run now if nobody has set `started_ns`.
  explicit RunClock(RunTotals& totals) noexcept;

  /// Adds the time since the last booking to `part`, and returns it.
  Duration book(std::int64_t RunTotals::*part) noexcept;
  /// Leaves that time out of all parts: the report calls it "other".
  void leave_out() noexcept;

 private:
  RunTotals* totals_;
};

}  // namespace ane::train
