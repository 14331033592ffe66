#pragma once

#include <string>
#include <string_view>

namespace ane::text {

/// `text` for a terminal: U+FFFD in place of each sequence that is not valid UTF-8, and of each control character that
/// is neither a line break nor a tab.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace ane::text
