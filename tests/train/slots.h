#pragma once

#include "ane/train/optimizer.h"

namespace ane::train {

inline const SlotNames kAdamWSlots = optimizer_slots(OptimizerKind::adamw);
inline const SlotNames kNoSlots = optimizer_slots(OptimizerKind::sgd);

}  // namespace ane::train
