#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

namespace ane::model {

/// Lets passes that run side by side, one a lane, add to the same gradients in the order of their lanes: a lane's n-th
/// addition waits for the n-th of the lane before. All make the same additions in the same order, so every sum has the
/// same bits whichever pass is ahead.
class GradientOrder {
 public:
  /// A lane's next addition, as long as it lives. Waits until it is its turn.
  class Turn {
   public:
    Turn(GradientOrder& order, std::size_t lane);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    GradientOrder& order_;
    std::size_t lane_;
  };

  explicit GradientOrder(std::size_t most_lanes) : lanes_(most_lanes) {}

  /// Before passes in the first `lanes` begin. Each must run on a thread of its own.
  void begin(std::size_t lanes) noexcept;
  /// The lane makes no further addition: nobody waits for it.
  void leave(std::size_t lane) noexcept;
  /// Returns when every lane has made so many additions: before a tensor is added to for the second time.
  void wait_for_all(std::size_t additions) const noexcept;
  [[nodiscard]] std::size_t running() const noexcept { return running_; }

 private:
  struct alignas(64) Lane {  // a cache line each, as others look while one writes
    std::atomic<std::size_t> made{0};
  };
  static void wait_for(const Lane& lane, std::size_t additions) noexcept;

  std::vector<Lane> lanes_;
  std::size_t running_ = 0;
};

}  // namespace ane::model
