#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/kernel_definition.h"

/// The kernels of a layer's step, as data. Adding a plan means adding a table and the generators of its kernels; the
/// code that runs it names tensors, never kernels.
namespace ane::model {

/// Phases of a layer's step in execution order. Between them the CPU computes residual sums, norms and weight
/// gradients.
enum class Phase { attention_forward, ffn_forward, ffn_backward, attention_backward };
[[nodiscard]] std::string_view name(Phase phase) noexcept;
[[nodiscard]] constexpr bool is_forward(Phase phase) noexcept { return phase <= Phase::ffn_forward; }

/// One row of a plan. Kernels of a phase run in the order of the table.
struct PlannedKernel {
  Phase phase{};
  KernelDefinition definition;
};

/// The CPU's side of a phase: provides the tensors `given`, then reads `wanted`.
struct PhaseContract {
  Phase phase{};
  std::vector<std::string> given;
  std::vector<std::string> wanted;
};

/// A table of kernels with matching tensors. A kernel's input segment is a given tensor, or an output segment of the
/// same name of an earlier kernel of the layer. Outputs of a forward phase can be used by every later phase of the
/// layer (they are then taps); outputs of a backward phase only within the phase.
class KernelPlan {
 public:
  /// Throws Error naming plan, kernel and tensor if a kernel's name is used twice, a tensor is produced twice
  /// ambiguously, an input has no source, a wanted tensor is not produced, or rows are not in phase order.
  KernelPlan(std::string name, std::vector<PlannedKernel> kernels, std::vector<PhaseContract> contract);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::span<const PlannedKernel> kernels() const noexcept { return kernels_; }
  /// Row of the kernel that produces `tensor` as seen by `phase`; nullopt if no kernel up to that phase does.
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
