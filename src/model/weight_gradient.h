#pragma once

#include <cstddef>
#include <span>

#include "ane/math/threads.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// dW += dy x^T for y = W x:  W [out, in], dy [out, S], x [in, S].
void accumulate_weight_gradient(const Parameter& weight, std::span<const float> dy, std::span<const float> x,
                                std::span<float> gradients, math::ThreadPool& threads);

}  // namespace ane::model
