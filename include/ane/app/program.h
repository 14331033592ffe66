#pragma once

#include "ane/app/devices.h"
#include "ane/explore/clock.h"

namespace ane::app {

/// ane-train: runs the command that `argv` requests with the environment of this process, and reports errors. Returns
/// the exit code. A training run's device is wrapped by `wrap_device`, if it is given, and experiments
/// use `clock`, if there is one.
[[nodiscard]] int run_program(char** argv, const DeviceWrapper& wrap_device = {}, explore::Clock* clock = nullptr);

}  // namespace ane::app
