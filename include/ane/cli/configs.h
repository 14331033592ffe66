#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ane::cli {

/// A config file of the project's configs folder, built into the program.
struct NamedConfig {
  std::string_view name;  ///< "shakespeare"
  std::string_view json;
};
[[nodiscard]] std::span<const NamedConfig> named_configs();

struct ConfigText {
  std::string place;  ///< for messages: "config shakespeare" or the file's path
  std::string json;
};

/// Whether `--config` asks for a file: a path with a slash or ending in .json, and none of the names.
[[nodiscard]] bool is_config_file(const std::string& name_or_file);

/// What `--config` asks for: one of the names, or a path (with a slash or ending in .json). Throws UsageError for
/// another name, with the nearest one, and FileError for a file that cannot be read.
[[nodiscard]] ConfigText find_config(const std::string& name_or_file);

}  // namespace ane::cli
