#include "arena.h"

#include <algorithm>
#include <numeric>

#include "ane/core/checked.h"

namespace ane::device::host {

ArenaPlan plan_arena(const std::vector<Lifetime>& lifetimes) {
  std::vector<std::size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  ArenaPlan plan{std::vector<std::size_t>(lifetimes.size(), 0), 0};
  std::vector<std::size_t> placed;  // sorted by offset
  for (const std::size_t current : by_size) {
    const Lifetime& life = lifetimes[current];
    const std::size_t bytes = round_up(life.bytes, kAlignment);
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      const Lifetime& taken = lifetimes[other];
      if (taken.last < life.first || life.last < taken.first) continue;
      if (offset + bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + round_up(taken.bytes, kAlignment));
    }
    plan.offsets[current] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offset,
                                     [&](std::size_t value, std::size_t i) { return value < plan.offsets[i]; });
    placed.insert(at, current);
  }
  return plan;
}

}  // namespace ane::device::host
