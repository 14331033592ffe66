#pragma once

#include "ane/app/invocation.h"
#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train sample --model MODEL --prompt TEXT [...]`: continues a text, printing it while it is generated.
[[nodiscard]] cli::Command sample_options();

/// Returns the exit code. Throws UsageError, FileError, DeviceError; DivergedError if a value is not finite.
[[nodiscard]] int sample_command(const cli::FlagValues& flags, const Invocation& invocation);

}  // namespace ane::app
