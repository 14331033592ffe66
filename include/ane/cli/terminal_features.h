#pragma once

#include <functional>
#include <string>

namespace ane::cli {

/// What the environment lets the program send to a terminal.
struct TerminalFeatures {
  bool color = true;      ///< false if NO_COLOR is not empty, or the terminal is dumb
  bool erases = true;     ///< whether a line can be erased and written again; not on a dumb terminal
  bool has_utf8 = false;  ///< whether the locale's characters are UTF-8
};

/// Reads NO_COLOR, TERM, and the locale. `variable` returns an environment variable, or an empty text if it is not set.
[[nodiscard]] TerminalFeatures terminal_features(const std::function<std::string(const char*)>& variable);
/// The same for the environment of this process.
[[nodiscard]] TerminalFeatures terminal_features();

}  // namespace ane::cli
