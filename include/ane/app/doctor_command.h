#pragma once

#include "ane/app/invocation.h"
#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train doctor [--device NAME] [--ane-...]`: reports what this machine offers, which device is selected and why,
/// and whether it computes correctly. `--explore` and `--show`: see explore_command.h.
[[nodiscard]] cli::Command doctor_options();

/// Returns 0 only if every probe kernel that a run needs compiled, ran and gave the correct result on the selected
/// device, else 4. One of the two forms of RoPE is enough; the verdict names the setting if it is not the default.
/// Throws UsageError, and DeviceError if the named device is not available.
[[nodiscard]] int doctor_command(const cli::FlagValues& values, const Invocation& invocation);

}  // namespace ane::app
