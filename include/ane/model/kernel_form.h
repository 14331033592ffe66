#pragma once

#include "ane/mil/types.h"

namespace ane::model {

/// How a layer's step is cut into kernels: llama_plan().
enum class PlanChoice { split, merged };

/// Where kernels have their weights from: compiled in, anew for every update, or the input surface, for which one
/// compile serves every layer and every update (ane.md 7.2).
enum class WeightMode { baked, dynamic };

/// What kernels are written for. An element type alone says the rest is as usual.
struct KernelForm {
  KernelForm(mil::DType element_type = mil::DType::fp16, WeightMode weight_mode = WeightMode::baked,
             PlanChoice plan_choice = PlanChoice::split)
      : element(element_type), weights(weight_mode), plan(plan_choice) {}

  mil::DType element;  ///< fp16, or fp32 to run the same programs unrounded on the host
  WeightMode weights;
  PlanChoice plan;
};

}  // namespace ane::model
