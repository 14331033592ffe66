#include "ane/math/gemm.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <span>

#include "blas.h"

namespace ane::math {
namespace {

int to_blas(std::size_t size) noexcept {
  assert(size <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(size);
}

CBLAS_TRANSPOSE to_blas(Transpose transpose) noexcept {
  return transpose == Transpose::yes ? CblasTrans : CblasNoTrans;
}

// The part of `operand` that starts at `row` and `column`, both counted after transposition.
MatrixOperand from(const MatrixOperand& operand, std::size_t row, std::size_t column) noexcept {
  const bool turned = operand.transpose == Transpose::yes;
  const std::size_t offset = turned ? column * operand.stride + row : row * operand.stride + column;
  return {operand.data + offset, operand.stride, operand.transpose};
}

// For k = 0, which not every BLAS accepts, because operands may be null.
void scale_rows(std::size_t m, std::size_t n, float beta, float* c, std::size_t c_stride) {
  for (std::size_t row = 0; row < m; ++row)
    for (float& value : std::span(c + row * c_stride, n)) value = beta == 0 ? 0 : beta * value;
}

// An empty operand may have stride 0, which BLAS rejects.
int leading(std::size_t stride) noexcept { return to_blas(std::max<std::size_t>(stride, 1)); }

MatrixOperand transposed(MatrixOperand operand) noexcept {
  operand.transpose = operand.transpose == Transpose::yes ? Transpose::no : Transpose::yes;
  return operand;
}

/// c [m] = alpha a [m, k] b [k] + beta c. OpenBLAS's sgemm would copy all of `a` into its own format first.
void multiply_column(std::size_t m, std::size_t k, float alpha, const MatrixOperand& a, const MatrixOperand& b,
                     float beta, float* c, std::size_t c_stride) {
  const bool turned = a.transpose == Transpose::yes;
  blas().sgemv(CblasRowMajor, to_blas(a.transpose), to_blas(turned ? k : m), to_blas(turned ? m : k), alpha, a.data,
               leading(a.stride), b.data, b.transpose == Transpose::yes ? 1 : leading(b.stride), beta, c,
               leading(c_stride));
}

// Both are multiples of the tile sizes of every BLAS, so that a split causes no partial tiles.
constexpr std::size_t kRowGrain = 16;
constexpr std::size_t kColumnGrain = 64;

// A product smaller than this is finished before another thread would have started.
constexpr double kSmallestSplit = 1 << 17;

}  // namespace

void gemm_serial(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
                 float* c, std::size_t c_stride) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_rows(m, n, beta, c, c_stride);
  if (blas().sgemv != nullptr && n == 1) return multiply_column(m, k, alpha, a, b, beta, c, c_stride);
  if (blas().sgemv != nullptr && m == 1) return multiply_column(n, k, alpha, transposed(b), transposed(a), beta, c, 1);
  blas().sgemm(CblasRowMajor, to_blas(a.transpose), to_blas(b.transpose), to_blas(m), to_blas(n), to_blas(k), alpha,
               a.data, leading(a.stride), b.data, leading(b.stride), beta, c, leading(c_stride));
}

void gemm(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
          float* c, std::size_t c_stride, ThreadPool& pool) {
  switch (gemm_cut(m, n, k, pool.size())) {
    case GemmCut::nothing:
      return gemm_serial(m, n, k, alpha, a, b, beta, c, c_stride);
    case GemmCut::rows:
      return pool.parallel_for(m, kRowGrain, [&](Range rows) {
        gemm_serial(rows.size(), n, k, alpha, from(a, rows.begin, 0), b, beta, c + rows.begin * c_stride, c_stride);
      });
    case GemmCut::columns:
      return pool.parallel_for(n, kColumnGrain, [&](Range columns) {
        gemm_serial(m, columns.size(), k, alpha, a, from(b, 0, columns.begin), beta, c + columns.begin, c_stride);
      });
  }
}

GemmCut gemm_cut(std::size_t m, std::size_t n, std::size_t k, int threads) noexcept {
  const double multiplications = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (threads == 1 || multiplications < kSmallestSplit) return GemmCut::nothing;
  // Each part packs the whole operand that is not split, so that should be the smaller one.
  return m >= n ? GemmCut::rows : GemmCut::columns;
}

const std::string& blas_name() { return blas().description; }

}  // namespace ane::math
