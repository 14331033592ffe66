#pragma once

#include "ane/app/invocation.h"
#include "ane/app/restart_context.h"
#include "ane/cli/settings.h"

namespace ane::app {

/// `ane-train [train] [settings]`: trains, re-executing the process as often as necessary. Returns 0, or 128 + n after
/// signal n; throws on errors.
[[nodiscard]] int train_command(const cli::FlagValues& flags, const Invocation& invocation);

/// Continues the training of the process that this one replaces.
[[nodiscard]] int continue_training(RestartContext before, const Invocation& invocation);

}  // namespace ane::app
