#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <vector>

#include "ane/mil/op_view.h"

#include "graph.h"

/// Where results should go, decided from the end of the program backwards: a part of a concatenation is written into
/// its place, what is an output is written into its surface, and both demands travel back through reshapes and
/// transposes to the operation that computes the value.
namespace ane::device::host {

struct Placement {
  /// Where in the arena a computed value is to be written.
  std::map<mil::ValueId, View> homes;
  /// Where in the outputs it is to be written as well.
  std::map<mil::ValueId, std::vector<View>> copies;
  /// How it would best lie in memory: dimensions, outermost first.
  std::map<mil::ValueId, std::vector<std::size_t>> orders;
  /// Concatenations that nobody reads whole, and what is seen of them reshaped or transposed: they exist only as parts
  /// of the outputs.
  std::set<mil::ValueId> dissolved;
  /// For the result of a concat or stack: which parts are written into place by whoever computes them.
  std::map<mil::ValueId, std::vector<bool>> in_place;
};

/// Makes the buffers of the outputs and of the concatenations.
[[nodiscard]] Placement place_values(const mil::Function& function, GraphBuilder& builder);

/// The `perm` of a transpose, counted from the front.
[[nodiscard]] Dims transpose_perm(const mil::OpView& op);
/// The parts of `whole`, which is where the result of a concat or stack lies, that its operands fill.
[[nodiscard]] std::vector<View> parts_of(const mil::OpView& op, const View& whole);

}  // namespace ane::device::host
