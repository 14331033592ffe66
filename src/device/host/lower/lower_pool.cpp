#include <algorithm>
#include <numeric>

#include "ane/mil/geometry.h"

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

constexpr std::size_t kFirstSpatial = 2;

/// The divisor of each window's mean. Explicit padding counts unless it is excluded; elements added by ceil_mode never
/// count, as in PyTorch.
std::vector<float> window_counts(const mil::ConvDimension& dim, bool exclude_padding) {
  std::vector<float> counts;
  for (std::int64_t o = 0; o < dim.out; ++o) {
    const std::int64_t begin = o * dim.stride - dim.pad_begin;
    const std::int64_t end = std::min(begin + dim.kernel, exclude_padding ? dim.in : dim.in + dim.pad_end);
    counts.push_back(static_cast<float>(end - (exclude_padding ? std::max<std::int64_t>(begin, 0) : begin)));
  }
  return counts;
}

/// The dimensions that shrink come first, so that no intermediate is larger than both x and the result.
std::vector<std::size_t> folding_order(const std::vector<mil::ConvDimension>& dimensions) {
  std::vector<std::size_t> order(dimensions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return dimensions[i].out < dimensions[i].in; });
  return order;
}

}  // namespace

/// max_pool and avg_pool, one dimension after the other.
void Lowering::pool(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const std::vector<mil::ConvDimension> dimensions = mil::pool_geometry(op);
  const bool largest = op.kind() == OpKind::max_pool;
  View y = operand(op, "x");
  for (const std::size_t i : folding_order(dimensions)) {
    y = builder_.window_fold(largest ? OpKind::reduce_max : OpKind::reduce_sum, y, kFirstSpatial + i, dimensions[i]);
  }
  if (largest) return publish(result, y);

  const bool exclude_padding = op.flag("exclude_padding_from_average", false);
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    Dims aligned(dimensions.size() - i, 1);
    aligned.front() = dimensions[i].out;
    const View counts = builder_.literal({{mil::DType::fp32, aligned}, window_counts(dimensions[i], exclude_padding)});
    if (i + 1 == dimensions.size()) {
      return define(result, {.kind = OpKind::real_div, .round = rounds(result)}, {y, counts});
    }
    y = compute(OpKind::real_div, {y, counts}, y.shape);
  }
}

}  // namespace ane::device::host
