#include "run/convolution.h"

#include <algorithm>

namespace ane::device::host {

Convolution::Convolution(const View& x, const View& weight, const View& out, const mil::ConvGeometry& geometry)
    : x_(slot(x)),
      weight_(slot(weight)),
      out_(slot(out)),
      batch_(geometry.batch),
      out_channels_(geometry.out_channels),
      group_in_(geometry.in_channels / geometry.groups),
      group_out_(geometry.out_channels / geometry.groups),
      batch_stride_(x.strides[0]),
      channel_stride_(x.strides[1]) {
  const std::size_t added = kSpatial - geometry.dimensions.size();
  for (std::size_t i = 0; i < geometry.dimensions.size(); ++i) {
    axes_[added + i] = {geometry.dimensions[i], x.strides[i + 2]};
    positions_ *= geometry.dimensions[i].out;
    kernel_ *= geometry.dimensions[i].kernel;
  }
}

Convolution::Taps Convolution::taps(const mil::ConvDimension& dim, std::int64_t output) {
  Taps result{.start = output * dim.stride - dim.pad_begin};
  if (result.start < 0) result.first = (-result.start + dim.dilation - 1) / dim.dilation;
  const std::int64_t room = dim.in - result.start;
  if (room > 0) result.last = std::min(dim.kernel, (room + dim.dilation - 1) / dim.dilation);
  return result;
}

void Convolution::run(const RunContext& context) const {
  context.parallel_for(static_cast<std::size_t>(batch_ * out_channels_), 1,
                       [&](math::Range range) { run_channels(context, range); });
}

void Convolution::run_channels(const RunContext& context, math::Range range) const {
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const std::int64_t image = static_cast<std::int64_t>(i) / out_channels_;
    const std::int64_t channel = static_cast<std::int64_t>(i) % out_channels_;
    const float* const x =
        context.at<float>(x_) + image * batch_stride_ + channel / group_out_ * group_in_ * channel_stride_;
    const float* const weight = context.at<float>(weight_) + channel * group_in_ * kernel_;
    float* const out = context.at<float>(out_) + static_cast<std::int64_t>(i) * positions_;
    for (std::int64_t position = 0; position < positions_; ++position) {
      std::array<Taps, kSpatial> all;
      std::int64_t rest = position;
      for (std::size_t axis = kSpatial; axis-- > 0;) {
        all[axis] = taps(axes_[axis].dim, rest % axes_[axis].dim.out);
        rest /= axes_[axis].dim.out;
      }
      out[position] = sum(x, weight, all);
    }
  }
}

float Convolution::sum(const float* x, const float* weight, const std::array<Taps, kSpatial>& taps) const {
  const auto offset = [&](std::size_t axis, std::int64_t tap) {
    return (taps[axis].start + tap * axes_[axis].dim.dilation) * axes_[axis].stride;
  };
  float total = 0;
  for (std::int64_t channel = 0; channel < group_in_; ++channel) {
    for (std::int64_t i = taps[0].first; i < taps[0].last; ++i) {
      for (std::int64_t j = taps[1].first; j < taps[1].last; ++j) {
        const float* const in = x + channel * channel_stride_ + offset(0, i) + offset(1, j);
        const float* const row =
            weight + ((channel * axes_[0].dim.kernel + i) * axes_[1].dim.kernel + j) * axes_[2].dim.kernel;
        for (std::int64_t k = taps[2].first; k < taps[2].last; ++k) total += in[offset(2, k)] * row[k];
      }
    }
  }
  return total;
}

}  // namespace ane::device::host
