#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace ane::math {

/// A half-open range of work items.
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  [[nodiscard]] std::size_t size() const noexcept { return end - begin; }
};

/// The only threads that compute. BLAS is called from inside, one thread a call: two pools that spin on the same
/// cores cost a factor of three on two cores.
class ThreadPool {
 public:
  /// `threads` counts the caller: 1 starts none. Idle threads wait actively for some tens of microseconds, then sleep;
  /// with more threads than processors they sleep at once. Throws UsageError outside 1..256.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const noexcept { return size_; }

  /// Calls body(range) for consecutive ranges that cover [0, count), at most one a thread, each a multiple of `grain`
  /// long but for the last. The split depends on count, grain and size() alone, so results are reproducible. Returns
  /// when all are done; if bodies threw, the exception of the first range that did is rethrown. Called from inside a
  /// body, the same ranges run one after another in the calling thread. Callers on several threads take turns.
  void parallel_for(std::size_t count, std::size_t grain, const std::function<void(Range)>& body);

 private:
  struct Workers;
  int size_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace ane::math
