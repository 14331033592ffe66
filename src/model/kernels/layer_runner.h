#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/step_io.h"

namespace ane::model {

/// Runs the phases of a plan for one pass over the layers. Tensors are named; the plan determines which kernels produce
/// them and how they are passed on. Surfaces are held until the last phase that needs them has run. Reused for all
/// passes, so that a pass allocates nothing.
class LayerRunner {
 public:
  /// fp32 [channels, S] on the CPU.
  struct Given {
    std::string_view tensor;
    std::span<const float> values;
  };
  struct Wanted {
    std::string_view tensor;
    std::span<float> values;
    std::span<const float> base = {};  ///< added if not empty: the residual
  };

  LayerRunner(KernelBank& bank, const ModelContext& context, std::size_t slot = 0);
  /// Begins a pass, with no overflow so far. PassMode::forward: no backward phase follows, so nothing is kept for one.
  void begin(PassMode mode, StepTimes& times);
  /// Releases all surfaces, after a pass that ended early.
  void release() noexcept;

  /// Provides the inputs of the layer's kernels of `phase`, runs them in order and reads back the wanted tensors.
  /// `given` and `wanted` are those of the plan's contract; wanted ones may be omitted.
  void run(Phase phase, std::size_t layer, std::span<const Given> given, std::span<const Wanted> wanted);

  void check_loss(double loss) { io_->check_loss(loss); }
  /// Description of the first overflow.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return io_->overflow(); }

 private:
  /// Outputs of a layer's kernels, by row of the plan.
  using Outputs = std::vector<std::optional<PackedSurface>>;

  void drop(std::optional<PackedSurface>& output);
  void run_kernel(std::size_t row, std::size_t layer, std::span<const Given> given);

  KernelBank& bank_;
  const KernelPlan& plan_;
  ModelContext context_;
  std::size_t slot_;
  PassMode mode_ = PassMode::training;
  std::optional<StepIo> io_;      ///< of this pass
  std::vector<Outputs> outputs_;  ///< by layer
};

}  // namespace ane::model
