#include "run/product.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "ane/math/gemm.h"

#include "run/vector_ops.h"

namespace ane::device::host {
namespace {

/// BLAS requires one unit stride; the other is the distance between stored rows and at least their length. The stride
/// of a dimension of 1 is irrelevant. The outer dimension counts stored rows, which are rows or columns of the matrix.
bool rows_are_stored(std::int64_t outer, std::int64_t inner, std::int64_t outer_stride, std::int64_t inner_stride) {
  return (inner == 1 || inner_stride == 1) && (outer == 1 || outer_stride >= inner);
}

std::int64_t leading(std::int64_t outer, std::int64_t inner, std::int64_t outer_stride) {
  return outer == 1 ? inner : outer_stride;
}

math::MatrixOperand matrix(const float* data, std::int64_t rows, std::int64_t columns, std::int64_t row_stride,
                           std::int64_t column_stride) {
  if (rows_are_stored(rows, columns, row_stride, column_stride)) {
    return {data, static_cast<std::size_t>(leading(rows, columns, row_stride)), math::Transpose::no};
  }
  assert(rows_are_stored(columns, rows, column_stride, row_stride));
  return {data, static_cast<std::size_t>(leading(columns, rows, column_stride)), math::Transpose::yes};
}

}  // namespace

bool Product::fits(const View& view) {
  const std::size_t r = view.rank();
  const std::int64_t rows = view.shape[r - 2];
  const std::int64_t columns = view.shape[r - 1];
  return rows_are_stored(rows, columns, view.strides[r - 2], view.strides[r - 1]) ||
         rows_are_stored(columns, rows, view.strides[r - 1], view.strides[r - 2]);
}

Product::Operand Product::operand(const View& view) {
  const std::size_t r = view.rank();
  return {slot(view), view.strides[r - 2], view.strides[r - 1], Dims(view.strides.begin(), view.strides.end() - 2)};
}

Product::Product(const View& a, const View& b, const View& c, float alpha, bool integer)
    : m_(c.shape[c.rank() - 2]),
      n_(c.shape[c.rank() - 1]),
      k_(a.shape[a.rank() - 1]),
      alpha_(alpha),
      integer_(integer),
      batch_(c.shape.begin(), c.shape.end() - 2),
      a_(operand(a)),
      b_(operand(b)),
      c_(operand(c)) {
  if (integer_) return;
  if (!rows_are_stored(m_, n_, c_.row_stride, c_.column_stride)) swap_sides();
  merge_batches();
}

void Product::swap_sides() {
  swapped_ = true;
  std::swap(m_, n_);
  std::swap(a_, b_);
  for (Operand* matrix : {&a_, &b_, &c_}) std::swap(matrix->row_stride, matrix->column_stride);
}

/// Drops dimensions of 1, and merges batches that share B and are contiguous in A and C into one product with more
/// rows.
void Product::merge_batches() {
  const auto erase = [&](std::size_t i) {
    const auto at = static_cast<std::ptrdiff_t>(i);
    batch_.erase(batch_.begin() + at);
    for (Operand* matrix : {&a_, &b_, &c_}) matrix->batch_strides.erase(matrix->batch_strides.begin() + at);
  };
  for (std::size_t i = batch_.size(); i-- > 0;) {
    if (batch_[i] == 1) erase(i);
  }
  while (!batch_.empty()) {
    const std::size_t last = batch_.size() - 1;
    const bool follow = b_.batch_strides[last] == 0 && a_.batch_strides[last] == m_ * a_.row_stride &&
                        c_.batch_strides[last] == m_ * c_.row_stride &&
                        rows_are_stored(m_ * batch_[last], n_, c_.row_stride, c_.column_stride) && m_ > 1;
    if (!follow) return;
    m_ *= batch_[last];
    erase(last);
  }
}

std::int64_t Product::batch_offset(const Operand& operand, std::int64_t batch) const {
  std::int64_t offset = 0;
  for (std::size_t i = batch_.size(); i-- > 0;) {
    offset += batch % batch_[i] * operand.batch_strides[i];
    batch /= batch_[i];
  }
  return offset;
}

bool Product::slice(std::int64_t slices) {
  if (integer_) return false;
  if (batch_.empty()) {
    if (m_ % slices != 0) return false;
    m_ /= slices;
    a_.slot.slice_stride = m_ * a_.row_stride;
    if (selection_) selection_->slice_stride = m_;
    c_.slot.slice_stride = m_ * c_.row_stride;
    return true;
  }
  if (batch_.front() % slices != 0) return false;
  batch_.front() /= slices;
  for (Operand* matrix : {&a_, &b_, &c_}) matrix->slot.slice_stride = batch_.front() * matrix->batch_strides.front();
  return true;
}

std::vector<Touch> Product::touches() {
  const auto touch = [&](Operand& matrix, std::int64_t rows, std::int64_t columns, bool writes) {
    Touch result{.slot = &matrix.slot, .shape = batch_, .strides = matrix.batch_strides, .writes = writes};
    result.shape.insert(result.shape.end(), {rows, columns});
    result.strides.insert(result.strides.end(), {matrix.row_stride, matrix.column_stride});
    return result;
  };
  std::vector<Touch> result;
  result.push_back(touch(a_, m_, k_, false));
  result.push_back(touch(b_, k_, n_, false));
  result.push_back(touch(c_, m_, n_, true));
  return result;
}

bool Product::splits_rows(int threads) const noexcept {
  const math::GemmCut cut =
      math::gemm_cut(static_cast<std::size_t>(m_), static_cast<std::size_t>(n_), static_cast<std::size_t>(k_), threads);
  return !integer_ && batch_.empty() && cut == math::GemmCut::rows;
}

void Product::run(const RunContext& context) const {
  if (integer_) return run_integer(context);
  const auto batches = static_cast<std::size_t>(element_count(batch_));
  if (const RowSelection::Row* const rows = selected_rows(context))
    return context.parallel_for(batches, 1, [&](math::Range range) { run_selection(context, rows, range); });
  if (context.threads == nullptr || (batches >= static_cast<std::size_t>(context.threads->size()) && batches > 1)) {
    return context.parallel_for(batches, 1, [&](math::Range range) { run_batches(context, range); });
  }
  for (std::size_t i = 0; i < batches; ++i) {
    const auto batch = static_cast<std::int64_t>(i);
    math::gemm(static_cast<std::size_t>(m_), static_cast<std::size_t>(n_), static_cast<std::size_t>(k_), alpha_,
               matrix(context.at<float>(a_.slot) + batch_offset(a_, batch), m_, k_, a_.row_stride, a_.column_stride),
               matrix(context.at<float>(b_.slot) + batch_offset(b_, batch), k_, n_, b_.row_stride, b_.column_stride),
               0.0F, context.at<float>(c_.slot) + batch_offset(c_, batch),
               static_cast<std::size_t>(leading(m_, n_, c_.row_stride)), *context.threads);
  }
}

void Product::run_batches(const RunContext& context, math::Range range) const {
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const auto batch = static_cast<std::int64_t>(i);
    math::gemm_serial(
        static_cast<std::size_t>(m_), static_cast<std::size_t>(n_), static_cast<std::size_t>(k_), alpha_,
        matrix(context.at<float>(a_.slot) + batch_offset(a_, batch), m_, k_, a_.row_stride, a_.column_stride),
        matrix(context.at<float>(b_.slot) + batch_offset(b_, batch), k_, n_, b_.row_stride, b_.column_stride), 0.0F,
        context.at<float>(c_.slot) + batch_offset(c_, batch), static_cast<std::size_t>(leading(m_, n_, c_.row_stride)));
  }
}

/// Null if the left side does not select rows.
const RowSelection::Row* Product::selected_rows(const RunContext& context) const {
  if (!selection_) return nullptr;
  const auto* const rows = context.at<RowSelection::Row>(*selection_);
  return rows->index < 0 ? nullptr : rows;
}

void Product::run_selection(const RunContext& context, const RowSelection::Row* rows, math::Range batches) const {
  for (std::size_t i = batches.begin; i < batches.end; ++i) {
    const auto batch = static_cast<std::int64_t>(i);
    const float* const b = context.at<float>(b_.slot) + batch_offset(b_, batch);
    float* const c = context.at<float>(c_.slot) + batch_offset(c_, batch);
    for (std::int64_t row = 0; row < m_; ++row) {
      scale_row(alpha_ * rows[row].factor, b + rows[row].index * b_.row_stride, b_.column_stride,
                c + row * c_.row_stride, static_cast<std::size_t>(n_));
    }
  }
}

void Product::run_integer(const RunContext& context) const {
  for (std::int64_t batch = 0; batch < element_count(batch_); ++batch) {
    const std::int32_t* const a = context.at<std::int32_t>(a_.slot) + batch_offset(a_, batch);
    const std::int32_t* const b = context.at<std::int32_t>(b_.slot) + batch_offset(b_, batch);
    std::int32_t* const c = context.at<std::int32_t>(c_.slot) + batch_offset(c_, batch);
    for (std::int64_t i = 0; i < m_; ++i) {
      for (std::int64_t j = 0; j < n_; ++j) {
        std::uint32_t sum = 0;  // unsigned, so overflow wraps around
        for (std::int64_t l = 0; l < k_; ++l) {
          sum += static_cast<std::uint32_t>(a[i * a_.row_stride + l * a_.column_stride]) *
                 static_cast<std::uint32_t>(b[l * b_.row_stride + j * b_.column_stride]);
        }
        c[i * c_.row_stride + j * c_.column_stride] = static_cast<std::int32_t>(sum);
      }
    }
  }
}

}  // namespace ane::device::host
