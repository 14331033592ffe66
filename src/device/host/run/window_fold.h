#pragma once

#include <cstddef>
#include <cstdint>

#include "ane/mil/geometry.h"

#include "lower/view.h"
#include "run/memory.h"
#include "run/vector_ops.h"

namespace ane::device::host {

/// Pooling along one axis: out[.., o, ..] is the largest element or the sum of the window at o. Padding is not read: a
/// window ends where x ends, and contains at least one element of x.
class WindowFold {
 public:
  /// `kind`: reduce_max or reduce_sum. x and `out` are packed and differ only along `axis`.
  WindowFold(mil::OpKind kind, const View& x, const View& out, std::size_t axis, const mil::ConvDimension& dimension);
  void run(const RunContext& context) const;

 private:
  void run_windows(const RunContext& context, math::Range range) const;

  RowFold fold_;
  MicroOp join_;
  Slot x_;
  Slot out_;
  mil::ConvDimension dimension_;
  std::int64_t outer_;  ///< elements of the axes before, and of those after, which are contiguous
  std::int64_t inner_;
};

}  // namespace ane::device::host
