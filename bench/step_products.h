#pragma once

#include <vector>

#include "bench.h"
#include "products.h"

namespace ane::bench {

constexpr const char* kClassifier = "classifier";
constexpr const char* kWeightGradients = "weight gradients";

/// The products that a step requires, each with its part: a kernel's name, or one of the above. On the host device they
/// have the form in which the step computes them, and are checked to be complete. Runs a step of `training`, which must
/// be compiled. Throws Error if the bound lacks a product of the step, or vice versa.
[[nodiscard]] std::vector<Product> step_products(Training& training);

}  // namespace ane::bench
