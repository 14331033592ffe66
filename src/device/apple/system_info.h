#pragma once

#include <string>

#include "lookup.h"

namespace ane::device::apple {

struct SystemInfo {
  std::string chip;  ///< empty if unknown
  std::string os;
};

/// Chip and OS by sysctlbyname.
[[nodiscard]] SystemInfo system_info(Lookup& lookup, const objc::Library& library);

}  // namespace ane::device::apple
