#pragma once

#include "ane/app/invocation.h"
#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train eval --model MODEL --data FILES [...]`: computes a model's loss on data, as a validation in training
/// does.
[[nodiscard]] cli::Command eval_options();

/// Returns the exit code. Throws UsageError, FileError, DeviceError; DivergedError if the loss is not finite.
[[nodiscard]] int eval_command(const cli::FlagValues& flags, const Invocation& invocation);

}  // namespace ane::app
