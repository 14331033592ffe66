#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "ane/math/threads.h"
#include "ane/train/optimizer.h"

namespace ane::train {

/// What all tensors of an update have in common.
struct UpdateContext {
  const OptimizerOptions& options;
  const UpdateStep& step;
  std::span<float> workspace;  ///< at least UpdateRule::workspace_size() for each tensor, aligned to 64 bytes
  math::ThreadPool& threads;
};

/// One tensor during an update.
struct TensorState {
  static constexpr std::size_t kMostSlots = 4;
  const model::Parameter& parameter;
  std::span<float> values;
  std::span<float> gradient;
  /// In the order of UpdateRule::slots; empty where the tensor has no values.
  std::array<std::span<float>, kMostSlots> slots;

  /// options.weight_decay if the tensor decays, else 0.
  [[nodiscard]] float weight_decay(const OptimizerOptions& options) const noexcept {
    return static_cast<float>(parameter.decays() ? options.weight_decay : 0);
  }
};

/// An array of an optimizer, and which parameters have values in it.
struct SlotRule {
  std::string_view name;
  bool (*has)(const OptimizerOptions& options, const model::Parameter& parameter);
};

/// For an array that has values of all parameters.
inline bool has_every_parameter(const OptimizerOptions& /*options*/, const model::Parameter& /*parameter*/) {
  return true;
}

/// An optimizer: what it keeps for each parameter, and how it updates one tensor. To add one, write its file and its
/// row in optimizer.cpp.
struct UpdateRule {
  OptimizerInfo info;
  std::span<const SlotRule> slots;
  /// Updates values and slots, and zeroes the gradient. Returns whether all new values are finite.
  bool (*update)(const UpdateContext& context, const TensorState& tensor);
  /// Whether the update of an element depends on other elements of the tensor; null: of no tensor. For all other
  /// tensors, `values`, `gradient` and `slots` may be the same slice of each.
  bool (*needs_whole)(const model::Parameter& parameter) = nullptr;
  /// Elements of working memory for a tensor; null: none.
  std::size_t (*workspace_size)(const model::Parameter& parameter) = nullptr;
};

/// AdamW's update of a tensor, for rules that use it for some tensors.
bool update_by_adamw(const UpdateContext& context, const TensorState& tensor, std::span<float> first_moment,
                     std::span<float> second_moment);

/// Constant-initialized, so that other static objects can use them.
extern const UpdateRule kAdamW;
extern const UpdateRule kMuon;
extern const UpdateRule kLion;
extern const UpdateRule kSgd;

}  // namespace ane::train
