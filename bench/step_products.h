#pragma once

#include <vector>

#include "bench.h"
#include "products.h"

namespace ane::bench {

constexpr const char* kClassifier = "classifier";
constexpr const char* kWeightGradients = "weight gradients";

/// The products that a step cannot do without, each under its part: a kernel's name, or one of the above. On the host
/// device they are turned as the step makes them, and it makes those and no others. Runs a step of `training`, which
/// must be compiled. Throws Error if the floor lacks a product of the step, or the step one of the floor.
[[nodiscard]] std::vector<Product> step_products(Training& training);

}  // namespace ane::bench
