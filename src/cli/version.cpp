#include "ane/cli/version.h"

#include <fmt/format.h>

#include "ane/math/gemm.h"

namespace ane::cli {

std::string version_text() {
  return fmt::format("ane-train {} (compiler {}, BLAS {})", ANE_VERSION, __VERSION__, math::blas_name());
}

}  // namespace ane::cli
