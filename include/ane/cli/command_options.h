#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace ane::cli {

/// A flag of a command other than training, or its one word.
struct CommandOption {
  std::string name;         ///< "--flag", or "WORD", which must be given
  std::string placeholder;  ///< of the flag's value
  std::string help;
  std::variant<std::string*, bool*> target;  ///< a bool: the flag has no value
};

struct CommandHelp {
  std::string_view name;  ///< as in "ane-train NAME"
  std::string_view description;
};

/// Sets the targets of what `arguments`, those after the command's name, give. Returns what --help prints, if that is
/// asked for; nothing else is to be done then. Throws UsageError, with the command's name.
[[nodiscard]] std::string parse_command_options(const CommandHelp& command, std::span<const CommandOption> options,
                                                std::span<const std::string> arguments);

}  // namespace ane::cli
