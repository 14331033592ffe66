#pragma once

#include <string>

namespace ane::cli {

/// Name, version, compiler and BLAS, for bug reports.
[[nodiscard]] std::string version_text();

/// The version alone: "0.1.0".
[[nodiscard]] std::string release();

}  // namespace ane::cli
