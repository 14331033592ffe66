#pragma once

#include <string>

namespace ane::cli {

/// Name, version, compiler and BLAS, for bug reports.
[[nodiscard]] std::string version_text();

}  // namespace ane::cli
