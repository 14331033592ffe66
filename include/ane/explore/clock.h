#pragma once

#include <chrono>

namespace ane::explore {

/// Time, as experiments with long pauses see it. Tests replace it.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::chrono::nanoseconds now() = 0;  ///< since some moment; never goes back
  virtual void sleep(std::chrono::nanoseconds time) = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::nanoseconds now() override;
  void sleep(std::chrono::nanoseconds time) override;
};

}  // namespace ane::explore
