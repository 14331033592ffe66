#pragma once

#include "blas.h"

namespace ane::math {

/// Loads OpenBLAS; `kernels` is its name of the kernels to use, null to leave the choice to it. Throws DeviceError.
[[nodiscard]] Blas load_openblas(const char* kernels);

}  // namespace ane::math
