#include <fmt/format.h>

#include "ane/mil/geometry.h"

#include "infer.h"
#include "windows.h"

namespace ane::mil {
namespace {

void check_ceil_mode(const OpView& op, std::size_t spatial) {
  if (!op.flag("ceil_mode", false)) return;
  if (spatial > 2) fail(op, fmt::format("ceil_mode requires 1 or 2 spatial dimensions: {}", describe(op, {"x"})));
  if (op.text("pad_type", "valid") == "same") fail(op, "ceil_mode cannot be combined with pad_type \"same\"");
  const auto pad = op.integers("pad", std::vector<std::int64_t>(2 * spatial, 0));
  for (std::size_t i = 0; i + 1 < pad.size(); i += 2)
    if (pad[i] != pad[i + 1])
      fail(op, fmt::format("with ceil_mode padding must be symmetric, but it is {} and {} on spatial dimension {}",
                           pad[i], pad[i + 1], i / 2));
}

}  // namespace

std::vector<ConvDimension> pool_geometry(const OpView& op) {
  const Shape& x = op.type("x").shape;
  if (x.size() < 3 || x.size() > 5)
    fail(op, fmt::format("x must be [N, C, *spatial] of rank 3 to 5: {}", describe(op, {"x"})));
  const std::size_t spatial = x.size() - 2;
  check_ceil_mode(op, spatial);
  std::vector<ConvDimension> dimensions =
      windows(op, positive_list(op, "kernel_sizes", spatial), std::vector<std::int64_t>(spatial, 1));
  for (std::size_t i = 0; i < spatial; ++i) {
    const ConvDimension& dim = dimensions[i];
    const bool first_is_empty = dim.kernel <= dim.pad_begin;
    const bool last_is_empty = (dim.out - 1) * dim.stride - dim.pad_begin >= dim.in;
    if (first_is_empty || last_is_empty)
      fail(op, fmt::format("the {} window of spatial dimension {} holds no element of x: {}",
                           first_is_empty ? "first" : "last", i, describe(op, {"x"})));
  }
  return dimensions;
}

Types infer_pool(const OpView& op) {
  TensorType type = op.type("x");
  const std::vector<ConvDimension> dimensions = pool_geometry(op);
  for (std::size_t i = 0; i < dimensions.size(); ++i) type.shape[i + 2] = dimensions[i].out;
  return {type};
}

}  // namespace ane::mil
