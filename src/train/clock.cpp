#include "ane/train/clock.h"

#include <chrono>
#include <ctime>

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

// macOS has no CLOCK_BOOTTIME: there CLOCK_MONOTONIC continues during sleep, and on Linux it does not.
std::int64_t since_boot_ns() noexcept {
#ifdef __APPLE__
  constexpr clockid_t kClock = CLOCK_MONOTONIC;
#else
  constexpr clockid_t kClock = CLOCK_BOOTTIME;
#endif
  timespec now{};
  ::clock_gettime(kClock, &now);
  constexpr std::int64_t kNsPerSecond = 1'000'000'000;
  return std::int64_t{now.tv_sec} * kNsPerSecond + std::int64_t{now.tv_nsec};
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
