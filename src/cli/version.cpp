#include "ane/cli/version.h"

#include <string_view>

#include <fmt/format.h>

#include "ane/math/gemm.h"

namespace ane::cli {

std::string version_text() {
  return fmt::format("ane-train {} (compiler {}, BLAS {})", ANE_VERSION, __VERSION__, math::blas_name());
}

std::string release() {
  const std::string_view version = ANE_VERSION;
  return std::string(version.substr(0, version.find(',')));
}

}  // namespace ane::cli
