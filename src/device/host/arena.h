#pragma once

#include <cstddef>
#include <vector>

namespace ane::device::host {

/// Addresses are multiples of this: a cache line, and the widest vector.
inline constexpr std::size_t kAlignment = 64;

/// Memory that is in use from step `first` to step `last`, both included.
struct Lifetime {
  std::size_t bytes = 0;
  std::size_t first = 0;
  std::size_t last = 0;
};

struct ArenaPlan {
  std::vector<std::size_t> offsets;  ///< one a lifetime, aligned
  std::size_t bytes = 0;             ///< of the whole arena
};

/// Places what is in use at the same time apart: the largest first, each at the lowest offset that is free for its
/// life.
[[nodiscard]] ArenaPlan plan_arena(const std::vector<Lifetime>& lifetimes);

}  // namespace ane::device::host
