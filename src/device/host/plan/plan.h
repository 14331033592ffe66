#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ane/device/device.h"
#include "ane/mil/program.h"

#include "lower/graph.h"
#include "plan/form_regions.h"
#include "run/memory.h"

/// From MIL text to an executable kernel.
///
///   text --mil::parse--> program --lower--> graph --schedule--> plan --compile--> kernel
///
/// - `lower` (lowering.h) turns operations into nodes over strided views (view.h). Reshapes, transposes, slices and
///   splits are views and disappear; a convolution is a matrix product over a view of its patches. `place_values`
///   (placement.h) decides beforehand, from the outputs backward, which values are written directly into a
///   concatenation or an output surface. GraphBuilder (graph.h) chooses the memory order of results and inserts the
///   necessary copies.
/// - `schedule` orders the nodes, fuses elementwise ones of one shape into groups (elementwise.h), drops unused nodes,
///   joins steps that can run slice by slice (form_regions.h), and places buffers in the arena by lifetime (arena.h).
/// - A kernel (kernel.h) is a plan plus its constants. Nodes that depend only on constants form the prologue: it runs
///   once, when the kernel is created, and converts weights to fp32. Plans are shared by every kernel of the same
///   text.
///
/// - A constant matrix that only selects rows (row_selection.h), such as RoPE's rotation of adjacent channels, is also
///   detected there, and the product is replaced by a selection.
/// - Matrices that are part of an input surface and that no constant is multiplied with are staged (staging.h): their
///   fp32 copies are kept with the surface while its owner declares them unchanged, so that weights in an input cost
///   the same as baked ones.
///
/// Values of type fp16 are stored as fp32 numbers that fp16 can represent. Surfaces and blobs have their own types and
/// are read, written and converted only by elementwise groups.
namespace ane::device::host {

struct Plan {
  std::vector<Buffer> buffers;
  std::vector<std::int32_t> literals;
  std::vector<BlobSource> blobs;
  std::vector<Step> prologue;
  std::vector<Step> steps;
  std::size_t constants_bytes = 0;
  std::size_t arena_bytes = 0;
  std::size_t staging_bytes = 0;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

/// Orders, fuses and places the nodes. `function` provides the ports.
[[nodiscard]] Plan schedule(const Graph& graph, const mil::Function& function, int threads);

/// All stages, for a pool of `threads`. Throws ParseError or CompileError.
[[nodiscard]] Plan make_plan(std::string_view mil_text, int threads);

}  // namespace ane::device::host
