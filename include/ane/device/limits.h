#pragma once

#include <optional>

#include "ane/device/budget.h"

namespace ane::device {

/// What a device's user must stay within. The defaults are the safest values known for the ANE.
struct DeviceLimits {
  /// Compiles of a process that were found to be safe on this machine; nullopt: CompileBudget::kDefault is assumed.
  std::optional<int> measured_compiles = std::nullopt;
  int hard_compiles = CompileBudget::kAneHardLimit;  ///< of a process, after which they fail
  int programs = CompileBudget::kAneProgramLimit;    ///< loaded at once
  /// Magnitudes of fp16 tensors from which on a sum of products may have overflowed (ane.md N2): a running sum that
  /// reaches 2^15 may return zero. Gradients keep another factor of two, which the loss scale can provide.
  float activation = 0x1p15F;
  float gradient = 0x1p14F;
};

}  // namespace ane::device
