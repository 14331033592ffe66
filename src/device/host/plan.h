#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ane/device/device.h"
#include "ane/mil/program.h"

#include "form_regions.h"
#include "graph.h"
#include "memory.h"

/// From MIL text to something that runs.
///
///   text --mil::parse--> program --lower--> graph --schedule--> plan --compile--> kernel
///
/// - `lower` (lowering.h) turns operations into nodes over strided views (view.h). Reshapes, transposes, slices and
///   splits are views and disappear; a convolution is a matrix product over a view of its patches. `place_values`
///   (placement.h) has decided beforehand, from the outputs backwards, what is written straight into a concatenation
///   or an output surface. GraphBuilder (graph.h) picks the memory order of results and inserts the few copies needed.
/// - `schedule` orders the nodes, fuses elementwise ones of one shape into groups (elementwise.h), drops what nobody
///   needs, joins steps that can be taken slice by slice (form_regions.h), and places buffers in the arena by lifetime
///   (arena.h).
/// - A kernel (kernel.h) is a plan plus its constants. Nodes that depend on constants alone are the prologue: it runs
///   once, when the kernel is made, and is where weights are converted to fp32. Plans are shared by every kernel of
///   the same text.
///
/// - A constant matrix that only chooses rows (row_selection.h), such as RoPE's turn of neighbours, is found there too,
///   and is not multiplied with.
/// - Matrices that an input surface holds beside others are staged (staging.h): their fp32 copies are kept with the
///   surface while its owner says that they are the same, so that weights in an input cost what baked ones do.
///
/// Values of type fp16 are held as fp32 numbers that fp16 can hold. Surfaces and blobs have their own types and are
/// read and written by elementwise groups only, converted on the way.
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

/// Orders, fuses and places. `function` gives the ports.
[[nodiscard]] Plan schedule(const Graph& graph, const mil::Function& function, int threads);

/// All of it, for a pool of `threads`. Throws ParseError or CompileError.
[[nodiscard]] Plan make_plan(std::string_view mil_text, int threads);

}  // namespace ane::device::host
