#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ane/mil/op_view.h"

/// The elements that operations read, with MIL's defaults, masks and negative indices resolved, for type inference and
/// execution. All functions throw TypeError for contradictory arguments, so never on a verified program.
namespace ane::mil {

/// One spatial dimension of a convolution or pooling: output o reads inputs o * stride + k * dilation - pad_begin,
/// k < kernel. Elements outside [0, in) are zero; pooling ignores them except for their number.
struct ConvDimension {
  std::int64_t in = 0;
  std::int64_t kernel = 0;
  std::int64_t out = 0;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;
};

/// x [N, Ci, *in], weight [Co, Ci / groups, *kernel] -> [N, Co, *out].
struct ConvGeometry {
  std::int64_t batch = 0;
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t groups = 1;
  std::vector<ConvDimension> dimensions;  ///< 1 to 3
};
[[nodiscard]] ConvGeometry conv_geometry(const OpView& op);

/// For max_pool and avg_pool, one for each of the 1 to 3 spatial dimensions of x [N, C, *in]. Each window holds an
/// element of x. With ceil_mode the last one may reach past the padding.
[[nodiscard]] std::vector<ConvDimension> pool_geometry(const OpView& op);

/// The dimensions of the two operands and the result of an einsum: one letter each, none twice in a group. A letter
/// that is missing in the result is summed over.
struct EinsumEquation {
  std::string x;
  std::string y;
  std::string result;
};
[[nodiscard]] EinsumEquation einsum_equation(const OpView& op);

/// Elements start, start + step, .. of range_1d, `count` of them, at least one.
struct RangeGeometry {
  double start = 0;
  double step = 1;
  std::int64_t count = 0;
};
[[nodiscard]] RangeGeometry range_geometry(const OpView& op);

/// Bits per index of a constexpr_lut_to_dense, for a table of 2, 4, 16, 64 or 256 elements.
[[nodiscard]] int lut_index_bits(const OpView& op);

/// Along one axis of x: elements begin, begin + step, ... (`count` of them, at least one).
struct SliceAxis {
  std::int64_t begin = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
  bool squeezed = false;  ///< the result does not have this axis (squeeze_mask)
};
/// For slice_by_size and slice_by_index, one for each axis of x.
[[nodiscard]] std::vector<SliceAxis> slice_geometry(const OpView& op);

/// Zeros (or copies) before and after each axis of x, for `pad`.
struct PadAxis {
  std::int64_t before = 0;
  std::int64_t after = 0;
};
[[nodiscard]] std::vector<PadAxis> pad_geometry(const OpView& op);

/// The axes of x, counted from the front and sorted, that a reduction, layer_norm or squeeze works on (default: all;
/// for squeeze: those of size 1).
[[nodiscard]] std::vector<std::size_t> axes_of(const OpView& op);
/// The `axis` of an operation along one axis of x (or of the values that concat and stack join), counted from the
/// front.
[[nodiscard]] std::size_t axis_of(const OpView& op);

}  // namespace ane::mil
