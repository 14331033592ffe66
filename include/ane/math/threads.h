#pragma once

#include <cstddef>
#include <memory>

namespace ane::math {

/// A half-open range of work items.
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  [[nodiscard]] std::size_t size() const noexcept { return end - begin; }
};

/// A callable over a range, held by address: nothing is copied or allocated. It must outlive the call it is passed to.
class RangeBody {
 public:
  template <class Body>
  RangeBody(const Body& body) noexcept  // NOLINT(google-explicit-constructor): so that a lambda can be passed as it is
      : body_(&body), call_([](const void* object, Range range) { (*static_cast<const Body*>(object))(range); }) {}

  void operator()(Range range) const { call_(body_, range); }

 private:
  const void* body_;
  void (*call_)(const void*, Range);
};

class BlasUse;

/// What a pool's threads do between loops: look out for the next one for some tens of microseconds before they sleep,
/// or sleep at once, for a pool whose loops take milliseconds and whose cores others may want.
enum class Idle : bool { active, asleep };

/// As many threads as run at once here; at least 1, and no more than a pool takes.
[[nodiscard]] int processor_count() noexcept;

/// The threads that compute. BLAS is called from inside, one thread a call: two pools that spin on the same
/// cores cost a factor of three on two cores.
class ThreadPool {
 public:
  /// `threads` counts the caller: 1 starts none. With more threads than processors they are never active when idle.
  /// Throws UsageError outside 1..256.
  explicit ThreadPool(int threads, Idle idle = Idle::active);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const noexcept { return size_; }

  /// Calls body(range) for consecutive ranges that cover [0, count), at most one a thread, each a multiple of `grain`
  /// long but for the last. The split depends on count, grain and size() alone, so results are reproducible. Returns
  /// when all are done; if bodies threw, the exception of the first range that did is rethrown. Called from inside a
  /// body, the same ranges run one after another in the calling thread. Callers on several threads take turns.
  void parallel_for(std::size_t count, std::size_t grain, RangeBody body);

 private:
  struct Workers;
  int size_;
  std::unique_ptr<BlasUse> blas_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace ane::math
