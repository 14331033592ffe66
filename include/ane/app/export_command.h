#pragma once

#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train export --model MODEL [--lora DIR [--merge]] --format hf|llama2c|peft|mlx --out PATH [--dtype
/// f32|bf16|f16]`: writes a model or an adapter in the format of other programs. Only one tensor is in memory at a
/// time. The output appears under its name when it is complete.
[[nodiscard]] cli::Command export_options();

/// Returns the exit code. Throws UsageError for an output that exists and a model that the format cannot represent,
/// FileError for files that cannot be read or written.
[[nodiscard]] int export_command(const cli::FlagValues& flags);

}  // namespace ane::app
