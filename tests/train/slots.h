#pragma once

#include <cstdint>

#include "ane/train/optimizer.h"

namespace ane::train {

/// The slots that an optimizer keeps for the parameters of a layout.
using MakeSlots = StateSlots (*)(const model::ParameterLayout&);

inline StateSlots adamw_slots(const model::ParameterLayout& layout) {
  return optimizer_slots({.kind = OptimizerKind::adamw}, layout);
}
inline StateSlots muon_slots(const model::ParameterLayout& layout) {
  return optimizer_slots({.kind = OptimizerKind::muon}, layout);
}
inline StateSlots no_slots(const model::ParameterLayout& /*layout*/) { return {}; }

/// AdamW's slots for a single tensor.
inline StateSlots adamw_slots(std::size_t count) {
  model::ParameterLayout layout;
  layout.add({"tensor", {static_cast<std::int64_t>(count)}});
  return adamw_slots(layout);
}

/// The options of a training run by this optimizer, with its own defaults.
inline OptimizerOptions with_optimizer(OptimizerOptions options, OptimizerKind kind) {
  const OptimizerInfo& info = optimizer_info(kind);
  options.kind = kind;
  options.momentum = info.momentum.value_or(options.momentum);
  options.beta1 = info.beta1.value_or(options.beta1);
  options.beta2 = info.beta2.value_or(options.beta2);
  return options;
}

}  // namespace ane::train
