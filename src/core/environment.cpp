#include "ane/core/environment.h"

namespace ane {

namespace {

std::optional<std::filesystem::path> absolute_path_in(std::span<const std::string> environment, std::string_view name) {
  const std::optional<std::string> value = find_variable(environment, name);
  if (!value || !std::filesystem::path(*value).is_absolute()) return std::nullopt;
  return *value;
}

}  // namespace

std::optional<std::string> find_variable(std::span<const std::string> environment, std::string_view name) {
  for (const std::string& entry : environment)
    if (entry.starts_with(name) && entry.substr(name.size(), 1) == "=") return entry.substr(name.size() + 1);
  return std::nullopt;
}

std::optional<std::filesystem::path> cache_directory(std::span<const std::string> environment) {
  constexpr const char* kOurs = "ane-train";
  if (const auto caches = absolute_path_in(environment, "XDG_CACHE_HOME")) return *caches / kOurs;
  const auto home = absolute_path_in(environment, "HOME");
  if (!home) return std::nullopt;
#ifdef __APPLE__
  return *home / "Library" / "Caches" / kOurs;
#else
  return *home / ".cache" / kOurs;
#endif
}

}  // namespace ane
