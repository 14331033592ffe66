#pragma once

#include "ane/explore/experiments.h"

/// The stages of the experiments (ane.md 8.5).
namespace ane::explore {

// calls.cpp
[[nodiscard]] Finding failures_are_reported(const Lab& lab);
[[nodiscard]] Finding inputs_bind_in_order(const Lab& lab);
// limits.cpp
[[nodiscard]] Finding compile_and_leave(const Lab& lab);
[[nodiscard]] Finding load_from_cache(const Lab& lab);
[[nodiscard]] Finding compile_until_refused(const Lab& lab);
[[nodiscard]] Finding fill_cache(const Lab& lab);
[[nodiscard]] Finding load_until_refused(const Lab& lab);
[[nodiscard]] Finding hold_until_refused(const Lab& lab);
// numerics.cpp
[[nodiscard]] Finding sums_overflow(const Lab& lab);
[[nodiscard]] Finding small_products_vanish(const Lab& lab);
[[nodiscard]] Finding offset_slices_clamp(const Lab& lab);
// idle.cpp
[[nodiscard]] Finding engine_rests(const Lab& lab);

}  // namespace ane::explore
