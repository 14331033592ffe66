#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "lower/expansion.h"
#include "plan/arena.h"
#include "run/convolution.h"
#include "run/elementwise.h"
#include "run/gather.h"
#include "run/memory.h"
#include "run/pad.h"
#include "run/product.h"
#include "run/ranking.h"
#include "run/reduction.h"
#include "run/region.h"
#include "run/row_selection.h"
#include "run/staging.h"
#include "run/window_fold.h"

/// Selects steps that run together, slice by slice: the heads of an attention, whose scores then stay in cache, or the
/// rows of a product that one thread computes, with the elementwise steps that follow.
///
/// A step can be sliced if its outermost dimension is divisible by the number of slices: `slice(n)` reduces it to its
/// first slice and sets the stride between slices in its slots. Steps form a region if no slice depends on another: of
/// all memory that they both write and read, slice i accesses only the i-th of n equal pieces. Memory that is used only
/// inside the region has one piece per worker, reused for each slice.
namespace ane::device::host {

using Step = std::variant<Elementwise, Product, Convolution, RowSelection, Reduction, Softmax, Gather, Pad, StagedCopy,
                          Ranking, WindowFold, TableExpansion, MaskExpansion, Region>;

/// Lifetime of each buffer in steps; nullopt if it is unused.
using Lifetimes = std::vector<std::optional<Lifetime>>;

/// Joins steps into regions for a pool of `threads`. Lifetimes still count the original steps. Buffers that are used
/// only inside a region are replaced by a new one for its workers.
[[nodiscard]] std::vector<Step> form_regions(std::vector<Step> steps, std::vector<Buffer>& buffers,
                                             Lifetimes& lifetimes, int threads);

}  // namespace ane::device::host
