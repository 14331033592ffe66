#pragma once

#include <array>
#include <cstdint>

#include "ane/mil/geometry.h"

#include "lower/view.h"
#include "run/memory.h"

namespace ane::device::host {

/// A direct convolution that reads its input in place. Much slower than a product with the patches of the input, but
/// without the memory for patches and padding, which would be excessive for a large kernel or dilation.
class Convolution {
 public:
  /// x [N, Ci, ..] with any strides; weight [Co, Ci / groups, ..] and out [N, Co, ..] packed. fp32.
  Convolution(const View& x, const View& weight, const View& out, const mil::ConvGeometry& geometry);
  void run(const RunContext& context) const;

 private:
  struct Axis {
    mil::ConvDimension dim{.in = 1, .kernel = 1, .out = 1};
    std::int64_t stride = 0;  ///< of x
  };
  /// The kernel taps of an output that are inside x: first, .., last - 1.
  struct Taps {
    std::int64_t first = 0;
    std::int64_t last = 0;
    std::int64_t start = 0;  ///< position of tap 0, possibly outside x
  };
  static constexpr std::size_t kSpatial = 3;

  [[nodiscard]] static Taps taps(const mil::ConvDimension& dim, std::int64_t output);
  void run_channels(const RunContext& context, math::Range range) const;
  [[nodiscard]] float sum(const float* x, const float* weight, const std::array<Taps, kSpatial>& taps) const;

  Slot x_;
  Slot weight_;
  Slot out_;
  std::int64_t batch_;
  std::int64_t out_channels_;
  std::int64_t group_in_;   ///< input channels of a group
  std::int64_t group_out_;  ///< output channels of a group
  std::int64_t batch_stride_;
  std::int64_t channel_stride_;
  std::array<Axis, kSpatial> axes_;  ///< the last ones; the others have size 1
  std::int64_t positions_ = 1;
  std::int64_t kernel_ = 1;
};

}  // namespace ane::device::host
