#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memory.h"
#include "view.h"

/// Batched matrix products: matmul, linear and convolution all end here.
namespace ane::device::host {

/// C[.., m, n] = alpha * A[.., m, k] * B[.., k, n] over equal leading dimensions, in fp32 through BLAS, or exactly in
/// int32.
class Product {
 public:
  /// Whether the last two dimensions of `view` are a matrix that BLAS can read and write where it lies.
  [[nodiscard]] static bool fits(const View& view);

  /// Unless `integer`, all three must fit. Operands may repeat along leading dimensions, `c` must not.
  Product(const View& a, const View& b, const View& c, float alpha, bool integer);

  void run(const RunContext& context) const;

  /// See region.h: slices of the batch if there is one, else of the rows of A and C.
  [[nodiscard]] bool slice(std::int64_t slices);
  [[nodiscard]] std::vector<Touch> touches();
  /// The outermost dimension of the batch; 1 if there is none.
  [[nodiscard]] std::int64_t outermost_batch() const { return batch_.empty() ? 1 : batch_.front(); }
  [[nodiscard]] std::int64_t rows() const noexcept { return m_; }
  /// Whether several threads would each compute some of the rows.
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

  std::int64_t m_;
  std::int64_t n_;
  std::int64_t k_;
  float alpha_;
  bool integer_;
  Dims batch_;
  Operand a_;
  Operand b_;
  Operand c_;
};

}  // namespace ane::device::host
