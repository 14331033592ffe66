#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ane/mil/op_view.h"

/// Where operations read, with MIL's defaults, masks and negative indices resolved: shared by type inference and by
/// whoever executes programs. All throw TypeError if the arguments contradict each other, and so never on a verified
/// program.
namespace ane::mil {

/// One spatial dimension of a convolution: output o reads inputs o * stride + k * dilation - pad_begin, k < kernel;
/// outside [0, in) lie zeros.
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
/// The `axis` of softmax, concat, split, stack or gather, counted from the front.
[[nodiscard]] std::size_t axis_of(const OpView& op);

}  // namespace ane::mil
