#pragma once

#include <span>
#include <string>

namespace ane::app {

/// `ane-train mil FILE ...`: checks and runs MIL written by hand. `arguments` are those after `mil`. Prints inputs,
/// outputs and broken rules; with --run also the time and the range and checksum of each output. Returns 0, or throws.
[[nodiscard]] int mil_command(std::span<const std::string> arguments);

}  // namespace ane::app
