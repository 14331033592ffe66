#include "ane/cli/configs.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/core/file.h"

namespace ane::cli {

bool is_config_file(const std::string& name_or_file) {
  const std::span<const NamedConfig> named = named_configs();
  const bool is_named =
      std::any_of(named.begin(), named.end(), [&](const NamedConfig& c) { return c.name == name_or_file; });
  return !is_named && (name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".json"));
}

ConfigText find_config(const std::string& name_or_file) {
  const std::span<const NamedConfig> named = named_configs();
  const auto found =
      std::find_if(named.begin(), named.end(), [&](const NamedConfig& c) { return c.name == name_or_file; });
  if (found != named.end()) return {fmt::format("config {}", found->name), std::string(found->json)};

  if (is_config_file(name_or_file)) {
    const std::filesystem::path path(name_or_file);
    std::error_code ignored;
    const bool is_pipe = !std::filesystem::is_regular_file(path, ignored);  // /dev/fd/63 says nothing about its writer
    return {.place = name_or_file,
            .json = read_text_file(path, "config"),
            .directory = is_pipe ? std::filesystem::path() : path.parent_path()};
  }
  std::vector<std::string> names;
  for (const NamedConfig& config : named) names.emplace_back(config.name);
  std::string hint = did_you_mean(name_or_file, names);
  if (hint.empty()) hint = fmt::format("; available: {}, or the path of a .json file", fmt::join(names, ", "));
  throw UsageError(fmt::format("unknown config '{}'{}", name_or_file, hint));
}

}  // namespace ane::cli
