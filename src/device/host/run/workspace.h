#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ane/device/host/host_device.h"
#include "ane/math/threads.h"

#include "plan/plan.h"
#include "run/aligned_bytes.h"

namespace ane::device::host {

/// Memory of a run, reused by runs of any kernel.
struct RunMemory {
  std::thread::id last_user{};
  AlignedBytes arena;
  AlignedBytes staging;               ///< matrices that are not kept with a surface
  std::vector<std::byte*> addresses;  ///< of the plan's buffers
  std::vector<bool> kept;             ///< buffers of matrices kept with a surface since an earlier run

  /// Resizes the memory for `plan`. Throws std::bad_alloc.
  void fit(const Plan& plan);
};

/// Shared by a device's kernels: the threads, and memory for all concurrent runs.
class Workspace {
 public:
  class Loan;

  Workspace(math::ThreadPool& threads, RunThreads run_threads) : threads_(&threads), run_threads_(run_threads) {}
  /// All threads, for creating kernels.
  [[nodiscard]] math::ThreadPool& threads() const noexcept { return *threads_; }
  /// The threads of a run; null: only the calling thread.
  [[nodiscard]] math::ThreadPool* run_threads() const noexcept {
    return run_threads_ == RunThreads::all ? threads_ : nullptr;
  }
  [[nodiscard]] int threads_of_a_run() const noexcept { return run_threads_ == RunThreads::all ? threads_->size() : 1; }
  /// Borrows memory, preferably what this thread used last, which is likely in its caches.
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
