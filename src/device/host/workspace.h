#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ane/device/host/host_device.h"
#include "ane/math/threads.h"

#include "aligned_bytes.h"
#include "plan.h"

namespace ane::device::host {

/// What a run needs beside its kernel. It serves one run after another, of whatever kernel.
struct RunMemory {
  std::thread::id last_user{};
  AlignedBytes arena;
  AlignedBytes staging;               ///< of matrices that no surface keeps
  std::vector<std::byte*> addresses;  ///< of the plan's buffers
  std::vector<bool> kept;             ///< buffers of matrices that a surface has kept from an earlier run

  /// Enough for `plan`. Throws std::bad_alloc.
  void fit(const Plan& plan);
};

/// What a device's kernels share: the threads, and memory for as many runs as there are at a time.
class Workspace {
 public:
  class Loan;

  Workspace(math::ThreadPool& threads, RunThreads run_threads) : threads_(&threads), run_threads_(run_threads) {}
  /// All there are: what a kernel is made with.
  [[nodiscard]] math::ThreadPool& threads() const noexcept { return *threads_; }
  /// What a run is taken with; null: the calling thread.
  [[nodiscard]] math::ThreadPool* run_threads() const noexcept {
    return run_threads_ == RunThreads::all ? threads_ : nullptr;
  }
  [[nodiscard]] int threads_of_a_run() const noexcept { return run_threads_ == RunThreads::all ? threads_->size() : 1; }
  /// That which this thread had last, if it is free, for its caches hold it.
  [[nodiscard]] Loan borrow();

 private:
  math::ThreadPool* threads_;
  RunThreads run_threads_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<RunMemory>> all_;
  std::vector<RunMemory*> free_;
};

class Workspace::Loan {
 public:
  Loan(Workspace& from, RunMemory& memory) : from_(&from), memory_(&memory) {}
  ~Loan();
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  RunMemory* operator->() const noexcept { return memory_; }
  RunMemory& operator*() const noexcept { return *memory_; }

 private:
  Workspace* from_;
  RunMemory* memory_;
};

}  // namespace ane::device::host
