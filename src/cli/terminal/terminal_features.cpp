#include "ane/cli/terminal_features.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace ane::cli {
namespace {

/// Whether a locale such as "en_US.UTF-8", "C.utf8" or "UTF-8" has UTF-8 characters.
bool is_utf8(std::string locale) {
  std::erase(locale, '-');
  std::transform(locale.begin(), locale.end(), locale.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return locale.find("utf8") != std::string::npos;
}

}  // namespace

TerminalFeatures terminal_features(const std::function<std::string(const char*)>& variable) {
  const bool is_dumb = variable("TERM") == "dumb";
  std::string locale;
  for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"})  // the first that is not empty decides
    if (locale.empty()) locale = variable(name);
  return {.color = variable("NO_COLOR").empty() && !is_dumb, .erases = !is_dumb, .has_utf8 = is_utf8(locale)};
}

TerminalFeatures terminal_features() {
  return terminal_features([](const char* name) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing changes these variables
    return std::string(value == nullptr ? "" : value);
  });
}

}  // namespace ane::cli
