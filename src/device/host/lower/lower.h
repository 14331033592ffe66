#pragma once

#include "ane/device/device.h"
#include "ane/mil/program.h"

#include "lower/graph.h"

namespace ane::device::host {

/// Lowers `function` to a graph. Throws CompileError with the position in the text for a type that this device does not
/// support (64-bit integers, uint32).
[[nodiscard]] Graph lower(const mil::Function& function);

}  // namespace ane::device::host
