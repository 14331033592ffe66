#pragma once

#include <cstddef>
#include <vector>

namespace ane::device::host {

/// Addresses are multiples of this: a cache line, and the widest vector.
inline constexpr std::size_t kAlignment = 64;

/// Memory that is in use from step `first` to step `last`, inclusive.
struct Lifetime {
  std::size_t bytes = 0;
  std::size_t first = 0;
  std::size_t last = 0;
};

struct ArenaPlan {
  std::vector<std::size_t> offsets;  ///< one per lifetime, aligned
  std::size_t bytes = 0;             ///< of the whole arena
};

/// Assigns offsets so that simultaneous lifetimes do not overlap: largest first, each at the lowest offset that is free
/// during its lifetime.
[[nodiscard]] ArenaPlan plan_arena(const std::vector<Lifetime>& lifetimes);

}  // namespace ane::device::host
