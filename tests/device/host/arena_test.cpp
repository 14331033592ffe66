#include "plan/arena.h"

#include <algorithm>
#include <random>

#include "support/catch.h"

namespace ane::device::host {
namespace {

bool overlap(std::size_t a, std::size_t a_size, std::size_t b, std::size_t b_size) {
  return a < b + b_size && b < a + a_size;
}

TEST_CASE("buffers with overlapping lifetimes do not overlap in memory", "[device][arena]") {
  std::mt19937 random(GENERATE(range(1U, 30U)));
  std::vector<Lifetime> lives;
  for (int i = 0; i < 40; ++i) {
    const std::size_t first = random() % 30;
    lives.push_back({1 + random() % 5000, first, first + random() % 6});
  }
  const ArenaPlan plan = plan_arena(lives);
  for (std::size_t i = 0; i < lives.size(); ++i) {
    CHECK(plan.offsets[i] % kAlignment == 0);
    CHECK(plan.offsets[i] + lives[i].bytes <= plan.bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
      CHECK_FALSE((together && overlap(plan.offsets[i], lives[i].bytes, plan.offsets[j], lives[j].bytes)));
    }
  }
}

TEST_CASE("buffers with disjoint lifetimes share memory", "[device][arena]") {
  const ArenaPlan plan = plan_arena({{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 5}, {640, 1, 2}});
  CHECK(plan.bytes == 1024 + 640);
  CHECK(plan_arena({}).bytes == 0);
}

}  // namespace
}  // namespace ane::device::host
