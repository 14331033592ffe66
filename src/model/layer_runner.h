#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "step_io.h"

namespace ane::model {

/// Runs the phases of a plan for one pass over the layers. Tensors are named; which kernels make them, and how they get
/// from one to the next, the plan says. Surfaces are held until the last phase that needs them has run. Serves one pass
/// after another, so that a pass allocates nothing.
class LayerRunner {
 public:
  /// fp32 [channels, S] on the CPU's side.
  struct Given {
    std::string_view tensor;
    std::span<const float> values;
  };
  struct Wanted {
    std::string_view tensor;
    std::span<float> values;
    std::span<const float> base = {};  ///< added, if there is one: the residual stream
  };

  LayerRunner(KernelBank& bank, const Engine& engine, std::size_t lane = 0);
  /// Begins a pass, with no overflow so far. KernelSet::forward: no backward phase follows, so nothing is kept for one.
  void begin(KernelSet set, StepTimes& times);
  /// Gives back all surfaces, after a pass that ended early.
  void release() noexcept;

  /// Hands the layer's kernels of `phase` what they need, runs them in order and reads back what is wanted. `given` and
  /// `wanted` are those of the plan's contract, or fewer wanted ones.
  void run(Phase phase, std::size_t layer, std::initializer_list<Given> given, std::initializer_list<Wanted> wanted);

  void check_loss(double loss) { io_->check_loss(loss); }
  /// The first overflow, in words.
  [[nodiscard]] const std::optional<std::string>& overflow() const noexcept { return io_->overflow(); }

 private:
  /// What a layer's kernels have put out, by row of the plan.
  using Outputs = std::vector<std::optional<PackedSurface>>;

  void drop(std::optional<PackedSurface>& output);
  void run_kernel(std::size_t row, std::size_t layer, std::initializer_list<Given> given);

  KernelBank& bank_;
  const KernelPlan& plan_;
  Engine engine_;
  std::size_t lane_;
  KernelSet set_ = KernelSet::training;
  std::optional<StepIo> io_;      ///< of this pass
  std::vector<Outputs> outputs_;  ///< by layer
};

}  // namespace ane::model
