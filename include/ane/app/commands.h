#pragma once

#include "ane/app/invocation.h"

namespace ane::app {

/// Runs the command that the command line requests, or continues the run of the process that this one replaces.
/// Returns the exit code; throws on errors.
[[nodiscard]] int run_command(const Invocation& invocation);

}  // namespace ane::app
