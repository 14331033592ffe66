#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/kernel_definition.h"

/// Which kernels a layer's step consists of, as data. A plan is a table: adding one is adding a table and the
/// generators of its kernels; whoever runs it names tensors, never kernels.
namespace ane::model {

/// Parts of a layer's step, in the order they run. Between them the CPU works: residual sums, norms, weight gradients.
enum class Phase { attention_forward, ffn_forward, ffn_backward, attention_backward };
[[nodiscard]] std::string_view name(Phase phase) noexcept;
[[nodiscard]] constexpr bool is_forward(Phase phase) noexcept { return phase <= Phase::ffn_forward; }

/// One row of a plan. Kernels of a phase run in the order of the table.
struct PlannedKernel {
  Phase phase{};
  KernelDefinition definition;
};

/// What the CPU does at a phase: hands over the tensors `given`, then reads `wanted`.
struct PhaseContract {
  Phase phase{};
  std::vector<std::string> given;
  std::vector<std::string> wanted;
};

/// A table of kernels whose tensors are known to meet. A kernel's input segment is a tensor that is given, or an output
/// segment of that name of an earlier kernel of the layer. What a forward phase puts out can be used by every later
/// phase of its layer (it is then a tap); what a backward phase puts out, within the phase.
class KernelPlan {
 public:
  /// Throws Error naming plan, kernel and tensor if a kernel's name is used twice, a tensor is made twice where both
  /// could be meant, an input has no source, a wanted tensor is not made, or rows are not in the order of phases.
  KernelPlan(std::string name, std::vector<PlannedKernel> kernels, std::vector<PhaseContract> contract);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::span<const PlannedKernel> kernels() const noexcept { return kernels_; }
  /// Row of the kernel whose output holds `tensor`, as it is seen by `phase`; nothing if no kernel up to there makes
  /// it.
  [[nodiscard]] std::optional<std::size_t> maker(Phase phase, std::string_view tensor) const;
  /// The last phase that needs the output of a row's kernel.
  [[nodiscard]] Phase last_use(std::size_t row) const { return last_uses_.at(row); }
  /// Output segments that later phases use.
  [[nodiscard]] std::vector<std::string> taps(std::size_t row) const;

 private:
  void check_row(std::size_t row) const;
  void check_wanted(const PhaseContract& contract) const;
  [[nodiscard]] bool is_given(Phase phase, std::string_view tensor) const;
  [[nodiscard]] bool is_used_in(Phase phase, std::string_view tensor) const;

  std::string name_;
  std::vector<PlannedKernel> kernels_;
  std::vector<PhaseContract> contract_;
  std::vector<Phase> last_uses_;
};

}  // namespace ane::model
