#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <vector>

#include "ane/mil/op_view.h"

#include "lower/graph.h"

/// Chooses the destinations of results, from the end of the program backward: parts of a concatenation are written in
/// place, outputs are written to their surfaces, and both requests propagate through reshapes and transposes to the
/// operation that computes the value.
namespace ane::device::host {

struct Placement {
  /// Destination of a computed value in the arena.
  std::map<mil::ValueId, View> homes;
  /// Further destinations in the outputs.
  std::map<mil::ValueId, std::vector<View>> copies;
  /// Preferred memory order: dimensions, outermost first.
  std::map<mil::ValueId, std::vector<std::size_t>> orders;
  /// Concatenations that are never read as a whole, and their reshaped or transposed views: they exist only as parts of
  /// the outputs.
  std::set<mil::ValueId> dissolved;
  /// For the result of a concat or stack: which parts are written in place by their producers.
  std::map<mil::ValueId, std::vector<bool>> in_place;
};

/// Creates the buffers of the outputs and of the concatenations.
[[nodiscard]] Placement place_values(const mil::Function& function, GraphBuilder& builder);

/// The `perm` of a transpose, counted from the front.
[[nodiscard]] Dims transpose_perm(const mil::OpView& op);
/// The parts of `whole`, the location of the result of a concat or stack, for each operand.
[[nodiscard]] std::vector<View> parts_of(const mil::OpView& op, const View& whole);

}  // namespace ane::device::host
