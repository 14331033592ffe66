#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace ane::cli {

/// A flag of a command other than training, or its positional argument.
struct CommandOption {
  std::string name;         ///< "--flag", or "WORD" for a required positional argument
  std::string placeholder;  ///< of the flag's value
  std::string help;
  std::variant<std::string*, bool*> target;  ///< bool: the flag takes no value
};

struct CommandHelp {
  std::string_view name;  ///< as in "ane-train NAME"
  std::string_view description;
};

/// Parses `arguments`, those after the command's name, into the targets. Returns the --help text if it was requested,
/// and the caller should then only print it. Throws UsageError with the command's name.
[[nodiscard]] std::string parse_command_options(const CommandHelp& command, std::span<const CommandOption> options,
                                                std::span<const std::string> arguments);

}  // namespace ane::cli
