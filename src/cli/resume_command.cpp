#include "ane/cli/resume_command.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/cli/settings.h"
#include "ane/cli/text.h"

namespace ane::cli {

std::string resume_command(std::span<const std::string> arguments, std::span<const std::string> environment,
                           const std::filesystem::path& directory) {
  std::vector<std::string> words;
  for (const Setting& row : settings_table()) {
    if (row.environment.empty()) continue;
    const std::string prefix = fmt::format("{}=", row.environment);
    for (const std::string& entry : environment) {
      if (entry.starts_with(prefix)) words.push_back(prefix + shell_quoted(entry.substr(prefix.size())));
    }
  }
  for (const std::string& argument : arguments) words.push_back(shell_quoted(argument));
  const auto has = [&](std::string_view flag) {
    return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
      return argument == flag || argument.starts_with(fmt::format("{}=", flag));
    });
  };
  if (!has("--checkpoint-dir")) words.push_back(fmt::format("--checkpoint-dir {}", shell_quoted(directory.string())));
  if (!has("--resume")) words.emplace_back("--resume");
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace ane::cli
