#include "ane/train/clock.h"

#include <chrono>

#include <sys/resource.h>

namespace ane::train {

namespace {

#ifdef __APPLE__
constexpr std::int64_t kMaxrssUnitBytes = 1;
#else
constexpr std::int64_t kMaxrssUnitBytes = 1024;
#endif

}  // namespace

std::int64_t monotonic_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::int64_t peak_memory_bytes() noexcept {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return std::int64_t{usage.ru_maxrss} * kMaxrssUnitBytes;
}

RunClock::RunClock(RunTotals& totals) noexcept : totals_(&totals) {
  if (totals.started_ns == 0) totals.started_ns = monotonic_ns();
  if (totals.booked_until_ns == 0) totals.booked_until_ns = totals.started_ns;
}

Duration RunClock::book(std::int64_t RunTotals::*part) noexcept {
  const std::int64_t now = monotonic_ns();
  const std::int64_t elapsed = now - totals_->booked_until_ns;
  totals_->*part += elapsed;
  totals_->booked_until_ns = now;
  return Duration(elapsed);
}

void RunClock::leave_out() noexcept { totals_->booked_until_ns = monotonic_ns(); }

}  // namespace ane::train
