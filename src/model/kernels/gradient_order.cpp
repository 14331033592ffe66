#include "kernels/gradient_order.h"

#include <cassert>
#include <limits>
#include <thread>

namespace ane::model {

GradientOrder::Turn::Turn(GradientOrder& order, std::size_t slot) : order_(order), slot_(slot) {
  if (slot == 0) return;
  wait_for(order.slots_[slot - 1], order.slots_[slot].made.load(std::memory_order_relaxed) + 1);
}

GradientOrder::Turn::~Turn() {
  Slot& slot = order_.slots_[slot_];
  slot.made.fetch_add(1, std::memory_order_release);
}

void GradientOrder::begin(std::size_t slots) noexcept {
  assert(slots <= slots_.size());
  running_ = slots;
  for (Slot& slot : slots_) slot.made.store(0, std::memory_order_relaxed);
}

void GradientOrder::leave(std::size_t slot) noexcept {
  slots_[slot].made.store(std::numeric_limits<std::size_t>::max(), std::memory_order_release);
}

void GradientOrder::wait_for_all(std::size_t additions) const noexcept {
  for (std::size_t slot = 0; slot < running_; ++slot) wait_for(slots_[slot], additions);
}

/// Spins, because the wait is usually shorter than waking up from sleep.
void GradientOrder::wait_for(const Slot& slot, std::size_t additions) noexcept {
  while (slot.made.load(std::memory_order_acquire) < additions) std::this_thread::yield();
}

}  // namespace ane::model
