#pragma once

#include <span>
#include <string>

namespace ane::app {

/// Runs the command that the command line requests, or continues the run of the process that this one replaces.
/// `arguments` begin with the program's name. Returns the exit code; throws on errors.
[[nodiscard]] int run_command(std::span<const std::string> arguments, std::span<const std::string> environment);

}  // namespace ane::app
