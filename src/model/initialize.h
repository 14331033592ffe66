#pragma once

#include <cstdint>
#include <span>

#include "ane/math/threads.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// Fills one tensor of `parameters` with normal values that depend only on the seed and its name: Meta's if it has one,
/// and in the order of Meta's rows, so that a seed still gives the model that it gave before the parameters had Hugging
/// Face's format.
void fill_normal(const Parameter& parameter, std::uint64_t seed, double deviation, std::span<float> parameters,
                 math::ThreadPool& threads);

/// Fills one tensor with uniform values in (-bound, bound) that depend only on the seed and its name.
void fill_uniform(const Parameter& parameter, std::uint64_t seed, double bound, std::span<float> parameters);

}  // namespace ane::model
