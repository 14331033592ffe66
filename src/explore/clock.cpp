#include "ane/explore/clock.h"

#include <thread>

namespace ane::explore {

std::chrono::nanoseconds SystemClock::now() { return std::chrono::steady_clock::now().time_since_epoch(); }

void SystemClock::sleep(std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); }

}  // namespace ane::explore
