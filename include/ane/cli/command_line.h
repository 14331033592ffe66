#pragma once

#include <optional>
#include <span>
#include <string>

#include "ane/cli/settings.h"

namespace ane::cli {

struct CommandLine {
  FlagValues flags;
  std::optional<std::string> answer;  ///< output of --help or --version; if set, the program prints it and exits
};

/// Parses the arguments after the program's name without interpreting the values. Throws UsageError for an unknown flag
/// (suggesting the nearest one), a repeated flag, a flag without its value, or a positional argument.
[[nodiscard]] CommandLine parse_command_line(std::span<const std::string> arguments);

}  // namespace ane::cli
