#pragma once

#include <cmath>
#include <optional>

namespace ane {

/// `value` rounded to fp32; nullopt if the result is not finite, or if a nonzero value rounds to 0 or to a subnormal
/// number.
[[nodiscard]] inline std::optional<float> to_fp32(double value) noexcept {
  const auto rounded = static_cast<float>(value);
  if (value == 0 || std::isnormal(rounded)) return rounded;
  return std::nullopt;
}

}  // namespace ane
