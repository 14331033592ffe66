#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/cli/settings.h"

namespace ane::cli {

/// An option of a command, or its positional arguments.
struct CommandOption {
  enum class Kind { value, toggle, argument, arguments };

  Kind kind = Kind::value;
  std::string name;           ///< "seed" for --seed; "FILE" for an argument
  std::string placeholder{};  ///< of the value
  std::string help{};
  std::string group{};           ///< heading in --help
  std::string expects{};         ///< for the message about a missing value: "a whole number from 1 to 9"
  std::string negation{};        ///< flag that turns off a toggle that is on by default
  std::string optional_value{};  ///< word that may follow the flag of a toggle
  std::string letter{};          ///< "o" if -o means the same; only of an option with a value
};

struct Command {
  std::string name;  ///< as in "ane-train NAME"
  std::string description;
  std::vector<CommandOption> options;
};

/// The values of `arguments`, any number of them, are one text in which each ends with this.
inline constexpr char kArgumentEnd = '\0';

/// The option of a setting. Its help mentions the default and the environment variable.
[[nodiscard]] CommandOption option_of(const Setting& row);
/// The training command: every setting is an option.
[[nodiscard]] Command training_command();

struct CommandLine {
  std::size_t command = 0;            ///< index of the requested command
  FlagValues values{};                ///< texts of the given options and arguments, by name; toggles are true or false
  std::optional<std::string> answer;  ///< output of --help or --version; if set, the program prints it and exits
};

/// Parses the arguments after the program's name without interpreting the values. The first of `commands` is the
/// default, which needs no name on the command line. Throws UsageError for an unknown command or option (suggesting the
/// nearest one), a repeated option, an option without its value, and a missing or unexpected argument.
[[nodiscard]] CommandLine parse_command_line(std::span<const Command> commands, std::span<const std::string> arguments);

}  // namespace ane::cli
