#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ane/app/compose.h"

namespace ane::app {

/// Environment variable with which tests inject device faults (device/fault_device.h). Not a setting, so not in --help.
inline constexpr const char* kFaultVariable = "ANE_TRAIN_FAULT";

/// Injects the faults that `environment` requests, if any, into process `process` (1-based) of the run. Throws
/// UsageError for an invalid plan. Faults are counted by runs, whose order is deterministic only with one batch slot.
[[nodiscard]] DeviceWrapper injected_faults(std::span<const std::string> environment, std::int64_t process);

}  // namespace ane::app
