#pragma once

#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train mil FILE ...`: checks and runs MIL written by hand.
[[nodiscard]] cli::Command mil_options();

/// Prints inputs, outputs and broken rules; with --run also the time and the range and checksum of each output. Returns
/// 0, or throws.
[[nodiscard]] int mil_command(const cli::FlagValues& values);

}  // namespace ane::app
