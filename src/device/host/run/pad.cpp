#include "run/pad.h"

#include "run/grain.h"

namespace ane::device::host {
Pad::Pad(const View& x, const View& out, std::span<const mil::PadAxis> axes, PadMode mode, std::int32_t fill_bits)
    : x_(slot(x)), out_(slot(out)), mode_(mode), fill_bits_(fill_bits) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    axes_.push_back({x.shape[i], axes[i].before, axes[i].after, x.strides[i]});
  }
}

/// The index of x along `axis` for position `at` of the result; kFill for fill values.
std::int64_t Pad::source(const Axis& axis, std::int64_t at) const {
  const std::int64_t index = at - axis.before;
  if (index >= 0 && index < axis.size) return index;
  switch (mode_) {
    case PadMode::reflect:
      return index < 0 ? -index : 2 * (axis.size - 1) - index;
    case PadMode::replicate:
      return std::clamp<std::int64_t>(index, 0, axis.size - 1);
    default:
      return kFill;
  }
}

void Pad::run(const RunContext& context) const {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < axes_.size(); ++i) rows *= axes_[i].padded();
  const auto grain = grain_for(axes_.back().padded());
  context.parallel_for(static_cast<std::size_t>(rows), grain, [&](math::Range range) { run_rows(context, range); });
}

void Pad::run_rows(const RunContext& context, math::Range range) const {
  for (std::size_t r = range.begin; r < range.end; ++r) {
    auto row = static_cast<std::int64_t>(r);
    std::int32_t* const out = context.at<std::int32_t>(out_) + row * axes_.back().padded();
    std::int64_t offset = 0;
    bool filled = false;
    for (std::size_t i = axes_.size() - 1; i-- > 0;) {
      const std::int64_t index = source(axes_[i], row % axes_[i].padded());
      filled = filled || index == kFill;
      offset += index * axes_[i].stride;
      row /= axes_[i].padded();
    }
    if (filled) {
      std::fill_n(out, axes_.back().padded(), fill_bits_);
    } else {
      run_row(context.at<std::int32_t>(x_) + offset, out);
    }
  }
}

void Pad::run_row(const std::int32_t* in, std::int32_t* out) const {
  const Axis& axis = axes_.back();
  const auto pad = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t index = source(axis, at);
      out[at] = index == kFill ? fill_bits_ : in[index * axis.stride];
    }
  };
  pad(0, axis.before);
  for (std::int64_t i = 0; i < axis.size; ++i) out[axis.before + i] = in[i * axis.stride];
  pad(axis.before + axis.size, axis.padded());
}

}  // namespace ane::device::host
