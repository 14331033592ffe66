#pragma once

#include "entry.h"
#include "pattern.h"

namespace ane::text {

/// {"String": TEXT} or {"Regex": TEXT}.
[[nodiscard]] Pattern read_pattern(const Entry& entry);

}  // namespace ane::text
