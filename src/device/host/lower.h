#pragma once

#include "ane/device/device.h"
#include "ane/mil/program.h"

#include "graph.h"

namespace ane::device::host {

/// What has to be done to run `function`. Throws CompileError with the place in the text if it computes with a type
/// that this device does not hold (64-bit integers, uint32).
[[nodiscard]] Graph lower(const mil::Function& function);

}  // namespace ane::device::host
