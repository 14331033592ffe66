#include "run/reduction.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "run/grain.h"
#include "run/vector_ops.h"

namespace ane::device::host {
namespace {

using mil::OpKind;

/// Columns processed at once: their accumulators stay in the L1 cache.
constexpr std::int64_t kColumns = 256;

/// The outer dimension that is packed in memory, or none.
std::size_t packed_outer(const View& in) {
  for (std::size_t i = 0; i + 1 < in.rank(); ++i) {
    if (in.shape[i] > 1 && in.strides[i] == 1) return i;
  }
  return in.rank();
}

std::size_t grain_of(const RowsOf& rows) {
  const std::int64_t part = rows.n * (rows.walk() == Walk::columns ? kColumns : 1);
  return grain_for(part);
}

constexpr MicroOp micro(OpKind kind, bool round = false) {
  return {.kind = kind, .integer = false, .round = round, .alpha = 0, .beta = 0, .to = mil::DType::fp32};
}

}  // namespace

bool RowsOf::fits(const View& in) {
  const std::size_t last = in.rank() - 1;
  return in.shape[last] == 1 || in.strides[last] == 1 || packed_outer(in) < in.rank();
}

RowsOf::RowsOf(const View& in_view, const View& out_view) : in(slot(in_view)), out(slot(out_view)) {
  assert(fits(in_view));
  const std::size_t last = in_view.rank() - 1;
  n = in_view.shape[last];
  in_step = in_view.strides[last];
  if (out_view.rank() == in_view.rank()) out_step = out_view.strides[last];
  const bool rows = n == 1 || (in_step == 1 && out_step <= 1);
  const std::size_t packed = rows ? in_view.rank() : packed_outer(in_view);
  for (std::size_t i = 0; i < last; ++i) {
    if (i == packed || in_view.shape[i] == 1) continue;
    outer_.push_back(in_view.shape[i]);
    in_strides_.push_back(in_view.strides[i]);
    out_strides_.push_back(out_view.strides[i]);
  }
  outer_count_ = element_count(outer_);
  if (rows) return;
  walk_ = Walk::columns;
  assert(out_view.strides[packed] == 1);
  columns_ = in_view.shape[packed];
  pieces_ = (columns_ + kColumns - 1) / kColumns;
}

RowsOf::Part RowsOf::part(std::int64_t index) const {
  Part result;
  std::int64_t outer = index;
  if (walk_ == Walk::columns) {
    const std::int64_t column = index % pieces_ * kColumns;
    result.in = result.out = column;
    result.columns = static_cast<std::size_t>(std::min(kColumns, columns_ - column));
    outer = index / pieces_;
  }
  for (std::size_t i = outer_.size(); i-- > 1;) {
    result.in += outer % outer_[i] * in_strides_[i];
    result.out += outer % outer_[i] * out_strides_[i];
    outer /= outer_[i];
  }
  if (!outer_.empty()) {
    result.in += outer * in_strides_.front();
    result.out += outer * out_strides_.front();
  }
  return result;
}

bool RowsOf::slice(std::int64_t slices) {
  if (outer_.empty() || outer_.front() % slices != 0) return false;
  outer_.front() /= slices;
  outer_count_ /= slices;
  in.slice_stride = outer_.front() * in_strides_.front();
  out.slice_stride = outer_.front() * out_strides_.front();
  return true;
}

std::vector<Touch> RowsOf::touches() {
  const auto touch = [&](Slot& slot, const Dims& outer_strides, std::int64_t step, bool writes) {
    Touch result{.slot = &slot, .shape = outer_, .strides = outer_strides, .writes = writes};
    result.shape.insert(result.shape.end(), {columns_, n});
    result.strides.insert(result.strides.end(), {1, step});
    return result;
  };
  std::vector<Touch> result;
  result.push_back(touch(in, in_strides_, in_step, false));
  result.push_back(touch(out, out_strides_, out_step, true));
  return result;
}

Reduction::Reduction(OpKind kind, const View& in, const View& out, float scale, bool round)
    : kind_(kind), rows_(in, out), scale_(scale), round_(round) {}

void Reduction::run(const RunContext& context) const {
  context.parallel_for(static_cast<std::size_t>(rows_.parts()), grain_of(rows_),
                       [&](math::Range range) { run_parts(context, range); });
}

void Reduction::run_parts(const RunContext& context, math::Range range) const {
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const RowsOf::Part part = rows_.part(static_cast<std::int64_t>(i));
    if (rows_.walk() == Walk::rows) {
      run_row(context, part);
    } else {
      run_columns(context, part);
    }
  }
}

void Reduction::run_row(const RunContext& context, const RowsOf::Part& part) const {
  context.at<float>(rows_.out)[part.out] =
      fold_row({kind_, scale_, round_}, context.at<float>(rows_.in) + part.in, static_cast<std::size_t>(rows_.n));
}

void Reduction::run_columns(const RunContext& context, const RowsOf::Part& part) const {
  const float* const in = context.at<float>(rows_.in) + part.in;
  alignas(64) std::array<float, kColumns> sums;
  alignas(64) std::array<float, kColumns> squares;
  const bool square = kind_ == OpKind::reduce_sum_square;
  const OpKind join = kind_ == OpKind::reduce_max   ? OpKind::maximum
                      : kind_ == OpKind::reduce_min ? OpKind::minimum
                                                    : OpKind::add;
  apply(micro(square ? OpKind::square : OpKind::identity), {in, in, in, sums.data(), part.columns});
  for (std::int64_t i = 1; i < rows_.n; ++i) {
    const float* row = in + i * rows_.in_step;
    if (square) {
      apply(micro(OpKind::square), {row, row, row, squares.data(), part.columns});
      row = squares.data();
    }
    apply(micro(join), {sums.data(), row, row, sums.data(), part.columns});
  }
  for (std::size_t i = 0; i < part.columns; ++i) sums[i] *= scale_;
  apply(micro(OpKind::identity, round_),
        {sums.data(), sums.data(), sums.data(), context.at<float>(rows_.out) + part.out, part.columns});
}

void Softmax::run(const RunContext& context) const {
  context.parallel_for(static_cast<std::size_t>(rows_.parts()), grain_of(rows_),
                       [&](math::Range range) { run_parts(context, range); });
}

void Softmax::run_parts(const RunContext& context, math::Range range) const {
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const RowsOf::Part part = rows_.part(static_cast<std::int64_t>(i));
    if (rows_.walk() == Walk::columns) {
      run_columns(context, part);
    } else {
      row_softmax(context.at<float>(rows_.in) + part.in, context.at<float>(rows_.out) + part.out,
                  static_cast<std::size_t>(rows_.n), round_);
    }
  }
}

void Softmax::run_columns(const RunContext& context, const RowsOf::Part& part) const {
  const float* const in = context.at<float>(rows_.in) + part.in;
  float* const out = context.at<float>(rows_.out) + part.out;
  alignas(64) std::array<float, kColumns> most;
  alignas(64) std::array<float, kColumns> sums;
  const auto row_in = [&](std::int64_t i) { return in + i * rows_.in_step; };
  const auto row_out = [&](std::int64_t i) { return out + i * rows_.out_step; };
  const std::size_t columns = part.columns;
  std::copy_n(in, columns, most.data());
  for (std::int64_t i = 1; i < rows_.n; ++i) {
    apply(micro(OpKind::maximum), {most.data(), row_in(i), in, most.data(), columns});
  }
  std::fill_n(sums.data(), columns, 0.0F);
  for (std::int64_t i = 0; i < rows_.n; ++i) {
    apply(micro(OpKind::sub), {row_in(i), most.data(), in, row_out(i), columns});
    apply(micro(OpKind::exp), {row_out(i), in, in, row_out(i), columns});
    apply(micro(OpKind::add), {sums.data(), row_out(i), in, sums.data(), columns});
  }
  for (std::int64_t i = 0; i < rows_.n; ++i) {
    apply(micro(OpKind::real_div, round_), {row_out(i), sums.data(), in, row_out(i), columns});
  }
}

}  // namespace ane::device::host
