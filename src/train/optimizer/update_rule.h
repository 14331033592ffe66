#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "ane/math/threads.h"
#include "ane/train/optimizer.h"

namespace ane::train {

/// One tensor during an update.
struct TensorState {
  static constexpr std::size_t kMostSlots = 4;
  std::span<float> values;
  std::span<float> gradient;
  std::array<std::span<float>, kMostSlots> slots;  ///< in the order of UpdateRule::slots
  bool decays = false;
};

/// An optimizer: what it keeps for each parameter, and how it updates one tensor. To add one, write its file and its
/// row in optimizer.cpp.
struct UpdateRule {
  OptimizerKind kind;
  SlotNames slots;
  /// Updates values and slots, and zeroes the gradient. Returns whether all new values are finite.
  bool (*update)(const OptimizerOptions& options, const UpdateStep& step, const TensorState& tensor,
                 math::ThreadPool& threads);
};

/// Constant-initialized, so that other static objects can use them.
extern const UpdateRule kAdamW;
extern const UpdateRule kSgd;

}  // namespace ane::train
