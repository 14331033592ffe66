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

/// A reference to a callable over a range: nothing is copied or allocated. The callable must outlive the call.
class RangeBody {
 public:
  template <class Body>
  RangeBody(const Body& body) noexcept  // NOLINT(google-explicit-constructor): so that a lambda can be passed directly
      : body_(&body), call_([](const void* object, Range range) { (*static_cast<const Body*>(object))(range); }) {}

  void operator()(Range range) const { call_(body_, range); }

 private:
  const void* body_;
  void (*call_)(const void*, Range);
};

class BlasUse;

/// What a pool's threads do between loops: spin for some tens of microseconds before they sleep, or sleep at once, for
/// a pool whose loops take milliseconds and whose cores others may need.
enum class Idle : bool { active, asleep };

/// Number of threads that can run at once on this machine: at least 1, at most the limit of a pool.
[[nodiscard]] int processor_count() noexcept;

/// The compute threads. BLAS is called from inside them with one thread per call: two pools that spin on the same cores
/// cost a factor of three on two cores.
class ThreadPool {
 public:
  /// `threads` includes the caller: 1 starts none. With more threads than processors, idle threads always sleep. Throws
  /// UsageError outside 1..256.
  explicit ThreadPool(int threads, Idle idle = Idle::active);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const noexcept { return size_; }

  /// Calls body(range) for consecutive ranges that cover [0, count), at most one per thread, each a multiple of `grain`
  /// long except the last. The split depends only on count, grain and size(), so results are reproducible. Returns when
  /// all are done; if bodies threw, rethrows the exception of the first such range. Called from inside a body, the same
  /// ranges run sequentially in the calling thread. Callers on several threads take turns.
  void parallel_for(std::size_t count, std::size_t grain, RangeBody body);

 private:
  struct Job;
  struct Workers;
  int size_;
  std::unique_ptr<BlasUse> blas_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace ane::math
