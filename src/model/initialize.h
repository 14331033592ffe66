#pragma once

#include <cstdint>
#include <span>

#include "ane/math/threads.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// Fills one tensor of `parameters` with normal values that depend only on (seed, its name).
void fill_normal(const Parameter& parameter, std::uint64_t seed, double deviation, std::span<float> parameters,
                 math::ThreadPool& threads);

}  // namespace ane::model
