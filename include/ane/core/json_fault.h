#pragma once

#include <string>
#include <string_view>

namespace ane {

/// What a JSON parser's exception says, without the exception's name: "line 1, column 5: syntax error ...". At most 200
/// bytes, because it can quote the text.
[[nodiscard]] std::string json_fault(std::string_view what);

}  // namespace ane
