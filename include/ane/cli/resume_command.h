#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace ane::cli {

/// The shell command that resumes from a checkpoint in `directory`: the same variables and arguments, quoted, with
/// --checkpoint-dir and --resume.
[[nodiscard]] std::string resume_command(std::span<const std::string> arguments,
                                         std::span<const std::string> environment,
                                         const std::filesystem::path& directory);

}  // namespace ane::cli
