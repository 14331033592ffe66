#include <cmath>

#include <fmt/format.h>

#include "ane/math/half.h"
#include "ane/mil/geometry.h"

#include "infer.h"

namespace ane::mil {
namespace {

/// Maximum length of a range, more positions than any model has. Short text must not cost gigabytes.
constexpr double kMaxRange = 1 << 20;

double number(const OpView& op, std::string_view argument) {
  if (is_float(op.type(argument).dtype)) return static_cast<double>(op.real(argument, 0));
  return static_cast<double>(op.integer(argument, 0));
}

/// Number of elements in [start, end), with differences and quotients in the element type, like coremltools.
double count_of(DType dtype, double start, double end, double step) {
  if (dtype == DType::int32) return std::ceil((end - start) / step);
  const auto rounded = [dtype](double value) {
    const auto single = static_cast<float>(value);
    return dtype == DType::fp16 ? math::to_float(math::to_half(single)) : single;
  };
  return static_cast<double>(std::ceil(rounded(static_cast<double>(rounded(end - start)) / step)));
}

}  // namespace

RangeGeometry range_geometry(const OpView& op) {
  RangeGeometry range{number(op, "start"), number(op, "step"), 0};
  const double end = number(op, "end");
  const double count = count_of(op.type("start").dtype, range.start, end, range.step);
  if (!(count >= 1 && count <= kMaxRange))
    fail(op, fmt::format("the range from {} to {} in steps of {} has no length from 1 to {}", range.start, end,
                         range.step, kMaxRange));
  range.count = static_cast<std::int64_t>(count);
  return range;
}

Types infer_range_1d(const OpView& op) {
  require_same_dtype(op, {"start", "end", "step"});
  return {{op.type("start").dtype, {range_geometry(op).count}}};
}

}  // namespace ane::mil
