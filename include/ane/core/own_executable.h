#pragma once

#include <string>

namespace ane {

/// A path that opens this process's executable. On Linux that is the running file itself, even if it was replaced or
/// removed.
[[nodiscard]] std::string own_executable();

}  // namespace ane
