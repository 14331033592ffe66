#pragma once

#include <vector>

#include "bench.h"
#include "products.h"

namespace ane::bench {

constexpr const char* kClassifier = "classifier";
constexpr const char* kWeightGradients = "weight gradients";

/// The products that a step requires, each with its part: a kernel's name, or one of the above. On the host device they
/// have the form in which the step computes them, and are checked to be complete. For this, the
/// function trains one step of a separate run and releases it. Throws Error if the bound lacks a product of the step,
/// or vice versa.
[[nodiscard]] std::vector<Product> step_products(cli::Settings settings);

}  // namespace ane::bench
