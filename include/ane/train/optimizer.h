#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/mapped_memory.h"
#include "ane/math/threads.h"
#include "ane/model/parameters.h"
#include "ane/train/options.h"
#include "ane/train/partition.h"
#include "ane/train/state.h"

namespace ane::train {

/// The largest gradient norm that is applied: its square still fits Adam's second moment in fp32.
inline constexpr double kLargestNorm = 1e18;

struct GradientNorm {
  double norm = 0;  ///< Euclidean, over all parameters
  /// Why this gradient must not be applied, naming the responsible tensor if there is one.
  std::optional<std::string> unusable;
};

/// What a rank knows about the gradients of its part.
struct GradientSum {
  double squares = 0;                       ///< of the elements, summed in double
  std::optional<std::string> not_finite{};  ///< that a gradient is not, naming the tensor
};
[[nodiscard]] GradientSum sum_of_gradients(std::span<const Piece> pieces, std::span<const float> gradients,
                                           math::ThreadPool& threads);
/// The same of all parameters.
[[nodiscard]] GradientSum sum_of_gradients(const model::ParameterLayout& layout, std::span<const float> gradients,
                                           math::ThreadPool& threads);

/// The norm of factor * gradients. It is unusable if an element is not finite, or if clipping to `grad_clip` (0: off)
/// leaves it above kLargestNorm.
[[nodiscard]] GradientNorm gradient_norm(const GradientSum& sum, double factor, double grad_clip);
/// The same of all parameters.
[[nodiscard]] GradientNorm gradient_norm(const model::ParameterLayout& layout, std::span<const float> gradients,
                                         double factor, double grad_clip, math::ThreadPool& threads);

struct UpdateStep {
  double lr = 0;
  double grad_factor = 1;         ///< averaging, unscaling and clipping
  std::int64_t update_count = 1;  ///< applied updates including this one, for AdamW's bias correction
};

/// What an optimizer is called, and the defaults of the options that it uses; an absent one has no effect.
struct OptimizerInfo {
  OptimizerKind kind = OptimizerKind::adamw;
  std::string_view name;   ///< "adamw", as in the settings
  std::string_view title;  ///< "AdamW"
  std::optional<double> momentum{};
  std::optional<double> beta1{};
  std::optional<double> beta2{};
  bool has_eps = false;
};
[[nodiscard]] std::vector<OptimizerInfo> all_optimizers();
[[nodiscard]] const OptimizerInfo& optimizer_info(OptimizerKind kind) noexcept;

/// The arrays that an optimizer keeps for these parameters; a checkpoint has a file for each. An array has values only
/// of those parameters for which the optimizer needs them.
[[nodiscard]] StateSlots optimizer_slots(const OptimizerOptions& options, const model::ParameterLayout& layout);
/// Whether any optimizer has a slot of this name.
[[nodiscard]] bool is_optimizer_slot(std::string_view name) noexcept;
/// Bytes of an optimizer's working memory.
[[nodiscard]] std::size_t optimizer_workspace_bytes(const OptimizerOptions& options,
                                                    const model::ParameterLayout& layout);
/// Whether the update of an element of `parameter` depends on other elements of it. If not, any slice can be updated on
/// its own, with the same bits.
[[nodiscard]] bool needs_whole_tensor(OptimizerKind kind, const model::Parameter& parameter);

/// Updates parameters. Everything that one update hands on to the next is in the state, so restarts do not matter; the
/// object only holds the memory in which it computes.
class Optimizer {
 public:
  /// Throws DeviceError if there is not enough memory.
  Optimizer(const OptimizerOptions& options, const model::ParameterLayout& layout);

  /// Updates `pieces`, with weight decay only where Parameter::decays(), and zeroes their gradients. The state must
  /// have the optimizer's slots, or the part of them that belongs to the pieces. Returns the name of the first tensor
  /// with non-finite values or slots: the state is then unusable.
  [[nodiscard]] std::optional<std::string> update(const UpdateStep& step, std::span<const Piece> pieces,
                                                  std::span<float> gradients, StateArena& state,
                                                  math::ThreadPool& threads);

 private:
  OptimizerOptions options_;
  MappedMemory workspace_;
};

}  // namespace ane::train
