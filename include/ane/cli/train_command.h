#pragma once

#include <span>
#include <string>

namespace ane::cli {

/// `ane-train [settings]`: trains, across as many re-executions as it takes. `arguments` begin with the program's name;
/// both are what a re-execution passes on. Returns 0, or 128 + n after signal n; throws what went wrong.
[[nodiscard]] int train_command(std::span<const std::string> arguments, std::span<const std::string> environment);

}  // namespace ane::cli
