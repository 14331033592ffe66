#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ane::device::host {

/// How many items of `elements` elements a thread should take at a time, so that its work outweighs waking it up.
[[nodiscard]] constexpr std::size_t grain_for(std::int64_t elements) noexcept {
  constexpr std::int64_t kElementsPerThread = 8192;
  return static_cast<std::size_t>(std::max<std::int64_t>(1, kElementsPerThread / elements));
}

}  // namespace ane::device::host
