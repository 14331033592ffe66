#include "run/window_fold.h"

#include <algorithm>
#include <span>

#include "run/grain.h"

namespace ane::device::host {

using mil::OpKind;

WindowFold::WindowFold(OpKind kind, const View& x, const View& out, std::size_t axis,
                       const mil::ConvDimension& dimension)
    : fold_{.kind = kind, .scale = 1, .round = false},
      join_{.kind = kind == OpKind::reduce_max ? OpKind::maximum : OpKind::add},
      x_(slot(x)),
      out_(slot(out)),
      dimension_(dimension),
      outer_(element_count(std::span(x.shape).first(axis))),
      inner_(element_count(std::span(x.shape).subspan(axis + 1))) {}

void WindowFold::run(const RunContext& context) const {
  const std::int64_t work = std::min(dimension_.kernel, dimension_.in) * inner_;
  const auto grain = grain_for(work);
  context.parallel_for(static_cast<std::size_t>(outer_ * dimension_.out), grain,
                       [&](math::Range range) { run_windows(context, range); });
}

void WindowFold::run_windows(const RunContext& context, math::Range range) const {
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const auto window = static_cast<std::int64_t>(i);
    const std::int64_t start = window % dimension_.out * dimension_.stride - dimension_.pad_begin;
    const std::int64_t begin = std::max<std::int64_t>(start, 0);
    const std::int64_t count = std::min(start + dimension_.kernel, dimension_.in) - begin;
    const float* const in = context.at<float>(x_) + (window / dimension_.out * dimension_.in + begin) * inner_;
    float* const out = context.at<float>(out_) + window * inner_;
    const auto size = static_cast<std::size_t>(inner_);
    if (inner_ == 1) {
      *out = fold_row(fold_, in, static_cast<std::size_t>(count));
      continue;
    }
    std::copy_n(in, size, out);
    for (std::int64_t k = 1; k < count; ++k) apply(join_, {out, in + k * inner_, out, out, size});
  }
}

}  // namespace ane::device::host
