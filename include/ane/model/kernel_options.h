#pragma once

#include "ane/mil/types.h"
#include "ane/model/adapter.h"

namespace ane::model {

/// How a layer's step is divided into kernels: see llama_plan().
enum class PlanChoice { split, merged };

/// How weights reach kernels: compiled in again for every update, or in the input surface, so that one compile serves
/// every layer and every update (ane.md 7.2).
enum class WeightMode { baked, dynamic };

/// How RoPE rotates its pairs (x[2i], x[2i+1]) by 90 degrees: by a product with a constant matrix broadcast over the
/// heads, or by slices of pairs concatenated in swapped order, as other trainers do. The results are the same. No
/// project is known to have run the first, and M3 Ultra refuses the second (ane.md A28).
enum class RopeForm { matrix, slices };

/// Where a kernel's input has its weights: beside the activations, as further columns, or below them, as further
/// channels. The results are the same. With the latter, no operation of any kernel begins inside the last axis, where
/// M1 and M2 turn large numbers into infinity (ane.md R3). No project is known to have run it.
enum class Packing { width, channels };

/// The options that kernels are generated for. An element type alone implies defaults for the rest.
struct KernelOptions {
  KernelOptions(mil::DType element_type = mil::DType::fp16, WeightMode weight_mode = WeightMode::baked,
                PlanChoice plan_choice = PlanChoice::split, RopeForm rope_form = RopeForm::matrix)
      : element(element_type), weights(weight_mode), plan(plan_choice), rope(rope_form) {}

  mil::DType element;  ///< fp16, or fp32 to run the same programs unrounded on the host
  WeightMode weights;
  PlanChoice plan;
  RopeForm rope;
  Packing packing = Packing::width;
  Adapter adapter = {};  ///< added to frozen matrices; without modules: none
};

}  // namespace ane::model
