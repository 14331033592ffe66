#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "ane/device/device.h"
#include "ane/mil/blob.h"

#include "plan/plan.h"
#include "run/aligned_bytes.h"
#include "run/workspace.h"

namespace ane::device::host {

/// A plan, and memory for the constants of its kernels: a destroyed kernel's memory is reused by the next one, so that
/// recompiling after an update maps no new memory.
class SharedPlan {
 public:
  explicit SharedPlan(Plan plan) : plan_(std::move(plan)) {}
  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] AlignedBytes take_constants();
  void give_back(AlignedBytes constants) noexcept;
  /// Frees the memory of destroyed kernels.
  void release_spare() noexcept;

 private:
  Plan plan_;
  std::mutex mutex_;
  std::vector<AlignedBytes> spare_;
};

/// Concurrent runs share no mutable state.
class HostKernel final : public Kernel {
 public:
  /// Converts the constants. Throws BlobError if a blob is missing or damaged, std::bad_alloc.
  HostKernel(std::shared_ptr<SharedPlan> plan, const mil::Blobs& blobs, Workspace& workspace);
  ~HostKernel() override;
  HostKernel(const HostKernel&) = delete;
  HostKernel& operator=(const HostKernel&) = delete;

  [[nodiscard]] std::span<const Port> inputs() const override { return plan().inputs; }
  [[nodiscard]] std::span<const Port> outputs() const override { return plan().outputs; }
  void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override;

 private:
  [[nodiscard]] const Plan& plan() const noexcept { return shared_->plan(); }
  void run_prologue(const mil::Blobs& blobs);
  void check(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) const;
  void bind_own_memory(RunMemory& run);
  void bind_staging(std::span<surface::Surface* const> inputs, RunMemory& run) const;
  [[nodiscard]] StagedMatrices& matrices_of(surface::Memory& memory) const;
  void run_steps(std::span<surface::Surface* const> inputs, RunMemory& run) const;
#ifdef ANE_POISON
  void check_kept(const StagedCopy& copy, RunMemory& run) const;
#endif

  std::shared_ptr<SharedPlan> shared_;
  Workspace* workspace_;
  AlignedBytes constants_;
};

}  // namespace ane::device::host
