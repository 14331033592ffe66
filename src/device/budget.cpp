#include "ane/device/budget.h"

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::device {

CompileBudget::CompileBudget(int limit) : limit_(limit) {
  if (limit <= 0) throw UsageError(fmt::format("the compile budget must be at least 1, found {}", limit));
}

bool CompileBudget::try_take(int kernels) noexcept {
  if (!can_take(kernels)) return false;
  used_ += kernels;
  return true;
}

}  // namespace ane::device
