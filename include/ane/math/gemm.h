#pragma once

#include <cstddef>
#include <string>

#include "ane/math/threads.h"

namespace ane::math {

enum class Transpose : bool { no, yes };

/// A row-major fp32 matrix as BLAS sees it: `stride` elements from one stored row to the next. With Transpose::yes the
/// operand is the transpose of the stored matrix.
struct MatrixOperand {
  const float* data = nullptr;
  std::size_t stride = 0;
  Transpose transpose = Transpose::no;
};

/// C[m, n] = alpha * A[m, k] * B[k, n] + beta * C. C is row-major with `c_stride` between rows. With beta 0 the old C
/// is not read. The split over the pool depends only on the sizes and pool.size().
void gemm(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
          float* c, std::size_t c_stride, ThreadPool& pool);

/// The same on the calling thread only, for callers that split the work themselves.
void gemm_serial(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
                 float* c, std::size_t c_stride);

/// The dimension that `gemm` splits among threads; nothing if the product is small.
enum class GemmCut { nothing, rows, columns };
[[nodiscard]] GemmCut gemm_cut(std::size_t m, std::size_t n, std::size_t k, int threads) noexcept;

/// Name and version of the BLAS in use and its selected kernels, for `--version`, reports and benchmarks.
[[nodiscard]] const std::string& blas_name();

}  // namespace ane::math
