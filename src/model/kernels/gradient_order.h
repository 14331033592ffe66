#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

namespace ane::model {

/// Orders the additions of concurrent passes, one per batch slot, to the same gradients: a slot's n-th addition waits
/// for the n-th of the previous slot. All make the same additions in the same order, so the bits of every sum do not
/// depend on timing.
class GradientOrder {
 public:
  /// Scope of a slot's next addition. The constructor waits for its turn.
  class Turn {
   public:
    Turn(GradientOrder& order, std::size_t slot);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    GradientOrder& order_;
    std::size_t slot_;
  };

  explicit GradientOrder(std::size_t most_slots) : slots_(most_slots) {}

  /// Must be called before passes in the first `slots` slots begin. Each must run on its own thread.
  void begin(std::size_t slots) noexcept;
  /// Declares that the slot makes no further additions, so others need not wait for it.
  void leave(std::size_t slot) noexcept;
  /// Waits until every slot has made `additions` additions; necessary before adding to a tensor for the second time.
  void wait_for_all(std::size_t additions) const noexcept;
  [[nodiscard]] std::size_t running() const noexcept { return running_; }

 private:
  struct alignas(64) Slot {  // one cache line each, to avoid false sharing
    std::atomic<std::size_t> made{0};
  };
  static void wait_for(const Slot& slot, std::size_t additions) noexcept;

  std::vector<Slot> slots_;
  std::size_t running_ = 0;
};

}  // namespace ane::model
