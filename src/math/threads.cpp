#include "ane/math/threads.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <hwy/cache_control.h>

#include "ane/core/error.h"
#include "ane/core/machine.h"

#include "blas.h"

namespace ane::math {
namespace {

constexpr int kMaxThreads = 256;

// Longer than the gap between two loops of a step, shorter than a scheduler's time slice.
constexpr std::chrono::microseconds kSpinTime{50};

// True while the thread runs a body, so that a nested loop runs inline.
thread_local bool inside_body = false;

class InsideBody {
 public:
  InsideBody() noexcept { inside_body = true; }
  ~InsideBody() { inside_body = outer_; }
  InsideBody(const InsideBody&) = delete;
  InsideBody& operator=(const InsideBody&) = delete;

 private:
  bool outer_ = inside_body;
};

// Lock-free shared state: the job's number, its number of parts and the next part to run.
class Ticket {
 public:
  constexpr explicit Ticket(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr Ticket(std::uint64_t job, std::size_t parts) noexcept : bits_(job << 32U | std::uint64_t{parts} << 16U) {}

  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr std::uint64_t job() const noexcept { return bits_ >> 32U; }
  [[nodiscard]] constexpr std::size_t parts() const noexcept { return (bits_ >> 16U) & 0xFFFFU; }
  [[nodiscard]] constexpr std::size_t next() const noexcept { return bits_ & 0xFFFFU; }

 private:
  std::uint64_t bits_;
};

template <class Condition>
bool spin_until(std::chrono::microseconds limit, const Condition& condition) {
  constexpr int kChecksPerClock = 16;
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < kChecksPerClock; ++i) {
      if (condition()) return true;
      hwy::Pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace

int processor_count() noexcept {
  try {
    return std::min(usable_processors(), kMaxThreads);
  } catch (const std::exception&) {  // out of memory
    return 1;
  }
}

// One call of parallel_for, split into parts.
struct ThreadPool::Job {
  const RangeBody* body = nullptr;
  std::size_t count = 0;
  std::size_t grain = 1;
  std::size_t parts = 0;

  void run(std::size_t part) const {
    const InsideBody inside;
    (*body)({boundary(part), boundary(part + 1)});
  }

 private:
  // Parts differ by at most one grain. Written to avoid overflow of units * parts.
  [[nodiscard]] std::size_t boundary(std::size_t part) const noexcept {
    if (part == parts) return count;
    const std::size_t units = (count - 1) / grain + 1;
    return (units / parts * part + std::min(part, units % parts)) * grain;
  }
};

// Parts are claimed, not assigned: a worker that has not woken up yet costs nothing, because the other threads do its
// part. Results do not depend on which thread runs a part.
struct ThreadPool::Workers {
  Workers(int threads, Idle idle)
      : spin_time_(idle == Idle::asleep || threads > processor_count() ? std::chrono::microseconds{0} : kSpinTime) {
    try {
      for (int i = 1; i < threads; ++i) pool_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      const std::size_t started = pool_.size() + 1;
      stop();
      throw DeviceError(fmt::format("only {} of {} threads could be started ({}); request fewer", started, threads,
                                    error.code().message()));
    }
  }
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void run(const Job& new_job) {
    const std::lock_guard one_at_a_time(callers_);
    job_ = new_job;
    error_ = nullptr;
    unfinished_.store(job_.parts, std::memory_order_relaxed);
    ticket_.store(Ticket(Ticket(ticket_.load(std::memory_order_relaxed)).job() + 1, job_.parts).bits());
    if (sleeping_.load() > 0) {
      const std::lock_guard lock(mutex_);
      wake_.notify_all();
    }
    run_parts();
    const auto done = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
    if (!spin_until(spin_time_, done)) {
      std::unique_lock lock(mutex_);
      finished_.wait(lock, done);
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void work() {
    std::uint64_t last_job = 0;
    while (true) {
      const auto has_job = [&] { return Ticket(ticket_.load()).job() != last_job || stopping_.load(); };
      if (!spin_until(spin_time_, has_job)) sleep_until(has_job);
      if (stopping_.load()) return;
      last_job = run_parts();
    }
  }

  // It is impossible that a caller stores the ticket and then sees no sleeper while a worker announces its sleep and
  // then sees no new ticket: all four operations are sequentially consistent.
  template <class Condition>
  void sleep_until(const Condition& condition) {
    std::unique_lock lock(mutex_);
    ++sleeping_;
    wake_.wait(lock, condition);
    --sleeping_;
  }

  // Runs parts until none is left; returns the job's number. `job_` is read only after claiming a part: until that part
  // is done, the caller cannot return and change it.
  std::uint64_t run_parts() {
    while (true) {
      const Ticket claimed(ticket_.fetch_add(1));
      if (claimed.next() >= claimed.parts()) return claimed.job();
      try {
        job_.run(claimed.next());
      } catch (...) {
        keep_first(claimed.next(), std::current_exception());
      }
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        const std::lock_guard lock(mutex_);
        finished_.notify_one();
      }
    }
  }

  // The first in the order of the ranges, so that the error is deterministic.
  void keep_first(std::size_t part, std::exception_ptr caught) {
    const std::lock_guard lock(mutex_);
    if (error_ && error_part_ < part) return;
    error_ = std::move(caught);
    error_part_ = part;
  }

  void stop() noexcept {
    {
      const std::lock_guard lock(mutex_);
      stopping_.store(true);
      wake_.notify_all();
    }
    for (std::thread& thread : pool_) thread.join();
  }

  const std::chrono::microseconds spin_time_;
  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable finished_;
  Job job_;
  std::exception_ptr error_;
  std::size_t error_part_ = 0;
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<std::size_t> unfinished_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> pool_;
};

ThreadPool::ThreadPool(int threads, Idle idle) : size_(threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw UsageError(fmt::format("{} threads were requested; choose 1 to {}", threads, kMaxThreads));
  }
  blas_ =
      std::make_unique<BlasUse>(threads);  // before the threads start, because loading may set environment variables
  if (threads > 1) workers_ = std::make_unique<Workers>(threads, idle);
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::parallel_for(std::size_t count, std::size_t grain, RangeBody body) {
  assert(grain > 0);
  if (count == 0) return;
  const Job job{&body, count, grain, std::min(static_cast<std::size_t>(size_), (count - 1) / grain + 1)};
  if (workers_ != nullptr && job.parts > 1 && !inside_body) {
    workers_->run(job);
  } else {
    for (std::size_t part = 0; part < job.parts; ++part) job.run(part);
  }
}

}  // namespace ane::math
