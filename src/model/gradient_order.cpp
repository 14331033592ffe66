#include "gradient_order.h"

#include <cassert>
#include <limits>
#include <thread>

namespace ane::model {

GradientOrder::Turn::Turn(GradientOrder& order, std::size_t lane) : order_(order), lane_(lane) {
  if (lane == 0) return;
  wait_for(order.lanes_[lane - 1], order.lanes_[lane].made.load(std::memory_order_relaxed) + 1);
}

GradientOrder::Turn::~Turn() {
  Lane& lane = order_.lanes_[lane_];
  lane.made.fetch_add(1, std::memory_order_release);
}

void GradientOrder::begin(std::size_t lanes) noexcept {
  assert(lanes <= lanes_.size());
  running_ = lanes;
  for (Lane& lane : lanes_) lane.made.store(0, std::memory_order_relaxed);
}

void GradientOrder::leave(std::size_t lane) noexcept {
  lanes_[lane].made.store(std::numeric_limits<std::size_t>::max(), std::memory_order_release);
}

void GradientOrder::wait_for_all(std::size_t additions) const noexcept {
  for (std::size_t lane = 0; lane < running_; ++lane) wait_for(lanes_[lane], additions);
}

/// Spins, because the wait is usually shorter than waking up from sleep.
void GradientOrder::wait_for(const Lane& lane, std::size_t additions) noexcept {
  while (lane.made.load(std::memory_order_acquire) < additions) std::this_thread::yield();
}

}  // namespace ane::model
