#include "plan/arena.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "ane/core/checked.h"

namespace ane::device::host {
namespace {

/// Lifetimes that have been placed, searchable by time: a segment tree over the steps, and the beginning of each.
class PlacedLifetimes {
 public:
  explicit PlacedLifetimes(std::size_t steps) : steps_(steps), covering_(2 * steps) {}

  void add(std::size_t id, const Lifetime& life) {
    begins_.emplace(life.first, id);
    std::size_t left = life.first + steps_;
    for (std::size_t right = life.last + 1 + steps_; left < right; left /= 2, right /= 2) {
      if (left % 2 == 1) covering_[left++].push_back(id);
      if (right % 2 == 1) covering_[--right].push_back(id);
    }
  }

  [[nodiscard]] std::vector<std::size_t> overlapping(const Lifetime& life) const {
    std::vector<std::size_t> found;
    for (std::size_t node = life.first + steps_; node > 0; node /= 2) {
      found.insert(found.end(), covering_[node].begin(), covering_[node].end());
    }
    const auto end = begins_.upper_bound(life.last);
    for (auto later = begins_.upper_bound(life.first); later != end; ++later) found.push_back(later->second);
    return found;
  }

 private:
  std::size_t steps_;
  std::vector<std::vector<std::size_t>> covering_;
  std::multimap<std::size_t, std::size_t> begins_;
};

}  // namespace

ArenaPlan plan_arena(const std::vector<Lifetime>& lifetimes) {
  std::vector<std::size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::size_t steps = 0;
  for (const Lifetime& life : lifetimes) steps = std::max(steps, life.last + 1);

  ArenaPlan plan{std::vector<std::size_t>(lifetimes.size(), 0), 0};
  PlacedLifetimes placed(steps);
  for (const std::size_t current : by_size) {
    const Lifetime& life = lifetimes[current];
    const std::size_t bytes = round_up(life.bytes, kAlignment);
    std::vector<std::size_t> others = placed.overlapping(life);
    std::sort(others.begin(), others.end(),
              [&](std::size_t a, std::size_t b) { return plan.offsets[a] < plan.offsets[b]; });
    std::size_t offset = 0;
    for (const std::size_t other : others) {
      if (offset + bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + round_up(lifetimes[other].bytes, kAlignment));
    }
    plan.offsets[current] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.add(current, life);
  }
  return plan;
}

}  // namespace ane::device::host
