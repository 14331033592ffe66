#pragma once

#include <optional>
#include <span>
#include <string>

#include "ane/cli/settings.h"

namespace ane::cli {

struct CommandLine {
  FlagValues flags;
  std::optional<std::string> answer;  ///< what --help or --version print; nothing else is to be done then
};

/// Reads the arguments after the program's name. Values are not looked at yet. Throws UsageError: an unknown flag (with
/// the nearest one), a flag given twice, a flag without its value, a stray word.
[[nodiscard]] CommandLine parse_command_line(std::span<const std::string> arguments);

}  // namespace ane::cli
