#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ane {

/// The value of the variable `name` in "NAME=value" entries; nullopt if there is none.
[[nodiscard]] std::optional<std::string> find_variable(std::span<const std::string> environment, std::string_view name);

/// ane-train's part of the user's directory for caches: $XDG_CACHE_HOME/ane-train, or ~/.cache/ane-train; on macOS
/// ~/Library/Caches/ane-train. nullopt if `environment` names no absolute path for it.
[[nodiscard]] std::optional<std::filesystem::path> cache_directory(std::span<const std::string> environment);

}  // namespace ane
