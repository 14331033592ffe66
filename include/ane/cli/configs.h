#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace ane::cli {

/// A config file of the project's configs directory, embedded in the program.
struct NamedConfig {
  std::string_view name;  ///< "shakespeare"
  std::string_view json;
};
[[nodiscard]] std::span<const NamedConfig> named_configs();

struct ConfigText {
  std::string place;  ///< for messages: "config shakespeare" or the file's path
  std::string json;
  std::filesystem::path directory{};  ///< to which its relative paths refer; empty: the current one
};

/// Whether a `--config` value is a file (a path with a slash or ending in .json) rather than a built-in name.
[[nodiscard]] bool is_config_file(const std::string& name_or_file);

/// Returns the config for a `--config` value: a built-in name, or a path (with a slash or ending in .json). Throws
/// UsageError for an unknown name, suggesting the nearest one, and FileError for a file that cannot be read.
[[nodiscard]] ConfigText find_config(const std::string& name_or_file);

}  // namespace ane::cli
