#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ane/app/devices.h"
#include "ane/explore/clock.h"

namespace ane::app {

/// How the process was started.
struct Invocation {
  std::vector<std::string> arguments;  ///< beginning with the program's name
  std::vector<std::string> environment;
  std::int64_t started_ns = 0;      ///< monotonic clock
  DeviceWrapper wrap_device = {};   ///< for a training run; may be empty
  explore::Clock* clock = nullptr;  ///< for experiments; null: the system's
};

}  // namespace ane::app
