#pragma once

#include "ane/app/invocation.h"
#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train plan --ranks N --link SPEED [...]`: predicts the speed of a run on several machines from the time of a
/// sequence on this one, measured or given.
[[nodiscard]] cli::Command plan_options();

/// Returns the exit code. Throws UsageError, FileError, DeviceError.
[[nodiscard]] int plan_command(const cli::FlagValues& flags, const Invocation& invocation);

}  // namespace ane::app
