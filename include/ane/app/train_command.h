#pragma once

#include <span>
#include <string>

namespace ane::app {

/// `ane-train [settings]`: trains, re-executing the process as often as necessary. `arguments` begin with the program's
/// name; a re-execution passes both on. Returns 0, or 128 + n after signal n; throws on errors.
[[nodiscard]] int train_command(std::span<const std::string> arguments, std::span<const std::string> environment);

}  // namespace ane::app
