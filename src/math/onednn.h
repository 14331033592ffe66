#pragma once

#include <optional>

#include "blas.h"

namespace ane::math {

/// oneDNN's sgemm, if the library is installed.
[[nodiscard]] std::optional<Blas> load_onednn();

}  // namespace ane::math
