#pragma once

#include "ane/app/devices.h"
#include "ane/explore/clock.h"

namespace ane::app {

/// ane-train: runs the command that `argv` requests with the environment of this process, and reports errors. Returns
/// the exit code. `wrap_device` wraps the device of a training run, and experiments use `clock`, if they are given.
[[nodiscard]] int run_program(char** argv, const DeviceWrapper& wrap_device = {}, explore::Clock* clock = nullptr);

}  // namespace ane::app
