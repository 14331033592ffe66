#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "arena.h"
#include "convolution.h"
#include "elementwise.h"
#include "expansion.h"
#include "gather.h"
#include "memory.h"
#include "pad.h"
#include "product.h"
#include "ranking.h"
#include "reduction.h"
#include "region.h"
#include "row_selection.h"
#include "staging.h"
#include "window_fold.h"

/// Which steps are taken together, slice by slice: the heads of an attention, whose scores then never leave the cache,
/// or the rows of a product that one thread computes, with what follows element by element.
///
/// A step has slices if its outermost dimension divides into them: `slice(n)` turns it into its first and sets the
/// stride from one slice to the next in its slots. Steps form a region if no slice depends on another: whatever they
/// both write and read, slice i touches in the i-th of n equal pieces only. Memory that nobody outside the region sees
/// is one piece a worker, used again for each slice.
namespace ane::device::host {

using Step = std::variant<Elementwise, Product, Convolution, RowSelection, Reduction, Softmax, Gather, Pad, StagedCopy,
                          Ranking, WindowFold, TableExpansion, MaskExpansion, Region>;

/// When each buffer is in use, counted in steps; nothing for one that is not.
using Lifetimes = std::vector<std::optional<Lifetime>>;

/// Joins steps into regions for a pool of `threads`. Lifetimes go on counting the steps as they were. Buffers that only
/// a region sees are replaced by a new one for its workers.
[[nodiscard]] std::vector<Step> form_regions(std::vector<Step> steps, std::vector<Buffer>& buffers,
                                             Lifetimes& lifetimes, int threads);

}  // namespace ane::device::host
