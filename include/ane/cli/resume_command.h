#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace ane::cli {

/// What to type to go on from a checkpoint in `directory`: the same variables and arguments, quoted for a
/// shell, with --checkpoint-dir and --resume.
[[nodiscard]] std::string resume_command(std::span<const std::string> arguments,
                                         std::span<const std::string> environment,
                                         const std::filesystem::path& directory);

}  // namespace ane::cli
