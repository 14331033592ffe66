#pragma once

#include <cmath>
#include <optional>

namespace ane {

/// `value` as the arithmetic in fp32 sees it; nothing where little or nothing is left of it: not finite, or, unless it
/// is 0, rounded to 0 or to a subnormal number.
[[nodiscard]] inline std::optional<float> to_fp32(double value) noexcept {
  const auto rounded = static_cast<float>(value);
  if (value == 0 || std::isnormal(rounded)) return rounded;
  return std::nullopt;
}

}  // namespace ane
