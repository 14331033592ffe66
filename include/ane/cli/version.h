#pragma once

#include <string>

namespace ane::cli {

/// Name, version, compiler and BLAS: what a bug report needs.
[[nodiscard]] std::string version_text();

}  // namespace ane::cli
