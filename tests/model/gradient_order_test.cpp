#include "kernels/gradient_order.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "support/together.h"

namespace ane::model {
namespace {

using Addition = std::pair<std::size_t, int>;  ///< slot, index of its addition

/// The order of additions of `slots` passes with different delays.
std::vector<Addition> additions(GradientOrder& order, std::size_t slots, int each, std::size_t dawdler) {
  std::mutex mutex;
  std::vector<Addition> made;
  order.begin(slots);
  ane::test::run_together(slots, [&](std::size_t slot) {
    for (int i = 0; i < each; ++i) {
      if (slot == dawdler) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const GradientOrder::Turn turn(order, slot);
      const std::scoped_lock lock(mutex);
      made.emplace_back(slot, i);
    }
    order.leave(slot);
  });
  return made;
}

TEST_CASE("a slot's additions come after those of the previous slot", "[model][slots]") {
  constexpr std::size_t kLanes = 3;
  constexpr int kEach = 20;
  GradientOrder order(kLanes);
  for (const std::size_t dawdler : {0U, 1U, 2U}) {
    std::vector<int> done(kLanes, 0);
    for (const auto& [slot, number] : additions(order, kLanes, kEach, dawdler)) {
      CHECK(done[slot]++ == number);
      if (slot > 0) CHECK(done[slot - 1] > number);
    }
    CHECK(done == std::vector<int>(kLanes, kEach));
  }
}

TEST_CASE("no pass waits for a slot that has left", "[model][slots]") {
  GradientOrder order(2);
  order.begin(2);
  order.leave(0);  // without any addition, as after an overflow
  int made = 0;
  for (; made < 3; ++made) const GradientOrder::Turn turn(order, 1);
  order.wait_for_all(3);
  CHECK(made == 3);
}

TEST_CASE("wait_for_all returns after the last slot's addition", "[model][slots]") {
  GradientOrder order(2);
  order.begin(2);
  { const GradientOrder::Turn turn(order, 0); }
  std::atomic<bool> added = false;
  bool added_before_wait_ended = false;
  std::thread waiting([&] {
    order.wait_for_all(1);
    added_before_wait_ended = added;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  {
    const GradientOrder::Turn turn(order, 1);
    added = true;
  }
  waiting.join();
  CHECK(added_before_wait_ended);
}

}  // namespace
}  // namespace ane::model
