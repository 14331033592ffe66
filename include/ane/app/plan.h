#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ane/cli/settings.h"
#include "ane/core/machine.h"
#include "ane/device/device.h"
#include "ane/model/kernel_plan.h"
#include "ane/model/model.h"

/// Predicts what a run will do without running it.
namespace ane::app {

/// Compiles that a process may make on the ANE: those of the settings, else the default.
[[nodiscard]] int engine_compile_limit(const cli::Settings& settings, const device::DeviceLimits& limits);

/// Compiles that a process of the run may make: as many as it likes if workers compile in its place. A host does not
/// pay for the limit of the ANE's compiler.
[[nodiscard]] int compile_limit(const cli::Settings& settings, const device::Device& device);

/// Compiles of all kernels of a plan: those with baked weights once per layer.
[[nodiscard]] std::int64_t compiles_of(const model::KernelPlan& plan, std::int64_t layers);

/// Compiles and restarts of a run.
struct CompilePlan {
  int first_round = 0;  ///< compiles in a fresh process
  int later_round = 0;  ///< compiles in a process that already has the kernels without weights
  int smallest_budget = 0;
  int forward = 0;  ///< for what is evaluated at the end; 0 if nothing is
  std::int64_t updates = 0;
  std::int64_t restarts = 0;
};
/// `evaluates`: whether the run ends with a validation or a sample of text.
[[nodiscard]] CompilePlan plan_compiles(std::span<const model::KernelInfo> kernels, bool evaluates,
                                        const cli::Settings& settings, int max_compiles);

/// Memory of a run in bytes, from the sizes of its arrays. A real run needs at least this, and up to a third more.
struct MemoryNeed {
  double state = 0;  ///< parameters and optimizer slots
  double gradients = 0;
  double weights = 0;  ///< in compiled kernels or in their inputs
  bool weights_are_input = false;
  double activations = 0;
  double surfaces = 0;
  double optimizer_workspace = 0;  ///< what an update computes in
  [[nodiscard]] double total() const noexcept {
    return state + gradients + weights + activations + surfaces + optimizer_workspace;
  }
};
/// Of one of the `ranks` of a run, which divide the optimizer's slots.
[[nodiscard]] MemoryNeed memory_need(const model::Model& model, const cli::Settings& settings,
                                     const device::Device& device, int ranks = 1);
/// The memory of an evaluation, which has no gradients, no optimizer slots, and only the kernels of the forward pass.
[[nodiscard]] MemoryNeed evaluation_memory_need(const model::Model& model, const cli::Settings& settings,
                                                const device::Device& device);
[[nodiscard]] bool fits(const MemoryNeed& need, const AvailableMemory& available);
/// Throws UsageError with both numbers if a run needs more memory than is available, because the system would kill it
/// without a message. Returns a warning if it comes close.
[[nodiscard]] std::optional<std::string> check_memory(const MemoryNeed& need,
                                                      const std::optional<AvailableMemory>& available);

/// Throws UsageError if the ANE cannot hold or compile the two kernel sets of a pipeline.
void check_pipeline(std::span<const model::KernelInfo> kernels, const cli::Settings& settings,
                    const device::DeviceLimits& limits = {});

/// Throws UsageError if the ANE cannot hold the kernels, which is only possible if workers compile: a process that
/// compiles reaches another limit first.
void check_programs(std::span<const model::KernelInfo> kernels, const cli::Settings& settings,
                    const device::Device& device);

/// The weight mode for the report: "baked", "dynamic, ...".
[[nodiscard]] std::string weights_text(const cli::Settings& settings);

}  // namespace ane::app
