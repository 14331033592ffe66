#include "ane/mil/geometry.h"

#include "lower/lowering.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

}  // namespace

/// x [.., n] at indices [.., k], row by row.
View Lowering::picked(const View& x, const View& indices, const Op& op) {
  const Gather::Sizes sizes{.batch = element_count(x.shape) / x.shape.back(),
                            .outer = 1,
                            .axis = x.shape.back(),
                            .indices = indices.shape.back(),
                            .inner = 1};
  return builder_.gather(x, indices, sizes, indices.shape, op.operation().name);
}

void Lowering::gather_along_axis(const Op& op) {
  const View x = operand(op, "x");
  const Dims perm = axes_last(x.rank(), {mil::axis_of(op)});
  const View out = picked(permuted(x, perm), permuted(operand(op, "indices"), perm), op);
  publish(op.operation().results.front(), unpermuted(out, perm));
}

/// reduce_argmax and reduce_argmin: the first element of the ranking.
void Lowering::reduce_arg(const Op& op) {
  const mil::ValueId result = op.operation().results.front();
  const View x = operand(op, "x");
  const Dims perm = axes_last(x.rank(), {mil::axis_of(op)});
  const auto order = op.kind() == OpKind::reduce_argmax ? Ranking::Order::descending : Ranking::Order::ascending;
  const View out = unpermuted(builder_.ranking(permuted(x, perm), 1, order), perm);
  publish(result, shaped(out, type(result).shape));
}

void Lowering::topk(const Op& op) {
  const std::vector<mil::ValueId>& results = op.operation().results;
  const std::size_t axis = mil::axis_of(op);
  const View x = operand(op, "x");
  const Dims perm = axes_last(x.rank(), {axis});
  const View rows = permuted(x, perm);
  const auto order = op.flag("ascending", false) ? Ranking::Order::ascending : Ranking::Order::descending;
  const View indices = builder_.ranking(rows, type(results.front()).shape[axis], order);
  publish(results.front(), unpermuted(picked(rows, indices, op), perm));
  if (results.size() > 1) publish(results.back(), unpermuted(indices, perm));
}

}  // namespace ane::device::host
