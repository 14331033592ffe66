#pragma once

#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train tokenize [IN...] --tokenizer X ...`: turns text into tokens and back.
[[nodiscard]] cli::Command tokenize_options();

/// Writes a token file, or prints ids or text. Returns 0, or throws.
[[nodiscard]] int tokenize_command(const cli::FlagValues& values);

}  // namespace ane::app
