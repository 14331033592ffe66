#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lower/view.h"
#include "run/memory.h"
#include "run/row_selection.h"

/// Batched matrix products, for matmul, linear and convolution.
namespace ane::device::host {

/// C[.., m, n] = alpha * A[.., m, k] * B[.., k, n] over equal leading dimensions, in fp32 through BLAS, or exactly in
/// int32.
class Product {
 public:
  /// Whether the last two dimensions of `view` are a matrix that BLAS can read and write in place.
  [[nodiscard]] static bool fits(const View& view);

  /// Unless `integer`, all three must fit. Operands may repeat along leading dimensions, `c` must not.
  Product(const View& a, const View& b, const View& c, float alpha, bool integer);

  /// Whether it is computed as C^T = B^T A^T, because C is column-major.
  [[nodiscard]] bool swaps_sides() const noexcept { return swapped_; }
  /// `rows`: the output of RowSelection for the left side (B^T if the sides are swapped), one matrix for the whole
  /// batch. If it selects rows, elements of the other side that 0 would multiply are ignored, even if they are infinite
  /// or NaN.
  void select_rows(const View& rows) { selection_ = slot(rows); }

  void run(const RunContext& context) const;

  /// See region.h: slices of the batch if there is one, else of the rows of A and C.
  [[nodiscard]] bool slice(std::int64_t slices);
  [[nodiscard]] std::vector<Touch> touches();
  /// The outermost dimension of the batch; 1 if there is none.
  [[nodiscard]] std::int64_t outermost_batch() const { return batch_.empty() ? 1 : batch_.front(); }
  [[nodiscard]] std::int64_t rows() const noexcept { return m_; }
  /// Whether the rows would be divided among several threads.
  [[nodiscard]] bool splits_rows(int threads) const noexcept;

 private:
  struct Operand {
    Slot slot;
    std::int64_t row_stride = 0;
    std::int64_t column_stride = 0;
    Dims batch_strides;
  };
  static Operand operand(const View& view);
  void swap_sides();
  void merge_batches();
  [[nodiscard]] std::int64_t batch_offset(const Operand& operand, std::int64_t batch) const;
  void run_integer(const RunContext& context) const;
  void run_batches(const RunContext& context, math::Range range) const;
  [[nodiscard]] const RowSelection::Row* selected_rows(const RunContext& context) const;
  void run_selection(const RunContext& context, const RowSelection::Row* rows, math::Range batches) const;

  std::int64_t m_;
  std::int64_t n_;
  std::int64_t k_;
  float alpha_;
  bool integer_;
  bool swapped_ = false;
  Dims batch_;
  Operand a_;
  Operand b_;
  Operand c_;
  std::optional<Slot> selection_;
};

}  // namespace ane::device::host
