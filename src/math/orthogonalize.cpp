#include "ane/math/orthogonalize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "ane/core/checked.h"
#include "ane/math/gemm.h"
#include "ane/math/nn.h"

namespace ane::math {
namespace {

// Coefficients and number of steps: Jordan et al. 2024, chosen for the steepest slope at 0.
constexpr float kLinear = 3.4445F;
constexpr float kCubic = -4.7750F;
constexpr float kQuintic = 2.0315F;
constexpr int kNewtonSchulzSteps = 5;
constexpr double kNormEps = 1e-7;

constexpr std::size_t kAlignment = 16;  // elements: 64 bytes

std::size_t square_size(std::size_t rows, std::size_t columns) noexcept {
  const std::size_t smaller = std::min(rows, columns);
  return round_up(smaller * smaller, kAlignment);
}

/// gram = X X^T or, of a tall X, X^T X: the smaller one.
void gram_matrix(std::size_t rows, std::size_t columns, const float* x, float* gram, ThreadPool& pool) {
  const MatrixOperand plain{x, columns, Transpose::no};
  const MatrixOperand transposed{x, columns, Transpose::yes};
  if (rows <= columns)
    gemm(rows, rows, columns, 1, plain, transposed, 0, gram, rows, pool);
  else
    gemm(columns, columns, rows, 1, transposed, plain, 0, gram, columns, pool);
}

/// polynomial = kLinear I + kCubic gram + kQuintic gram^2
void newton_schulz_polynomial(std::size_t size, const float* gram, float* polynomial, ThreadPool& pool) {
  std::copy_n(gram, size * size, polynomial);
  gemm(size, size, size, kQuintic, {gram, size, Transpose::no}, {gram, size, Transpose::no}, kCubic, polynomial, size,
       pool);
  for (std::size_t i = 0; i < size; ++i) polynomial[i * size + i] += kLinear;
}

}  // namespace

std::size_t orthogonalize_workspace(std::size_t rows, std::size_t columns) noexcept {
  return 2 * square_size(rows, columns);
}

void orthogonalize(std::size_t rows, std::size_t columns, std::span<float> matrix, std::span<float> result,
                   std::span<float> workspace, ThreadPool& pool) {
  assert(matrix.size() == rows * columns && result.size() == matrix.size());
  assert(workspace.size() >= orthogonalize_workspace(rows, columns));
  static_assert(kNewtonSchulzSteps % 2 == 1, "the steps alternate between two arrays and must end in `result`");
  const double norm = std::sqrt(sum_of_squares(matrix, pool));
  scale(matrix, static_cast<float>(1 / (norm + kNormEps)), pool);
  float* const gram = workspace.data();
  float* const polynomial = gram + square_size(rows, columns);
  float* from = matrix.data();
  float* to = result.data();
  for (int i = 0; i < kNewtonSchulzSteps; ++i) {
    gram_matrix(rows, columns, from, gram, pool);
    newton_schulz_polynomial(std::min(rows, columns), gram, polynomial, pool);
    const MatrixOperand x{from, columns, Transpose::no};
    const MatrixOperand factor{polynomial, std::min(rows, columns), Transpose::no};
    if (rows <= columns)
      gemm(rows, columns, rows, 1, factor, x, 0, to, columns, pool);
    else
      gemm(rows, columns, columns, 1, x, factor, 0, to, columns, pool);
    std::swap(from, to);
  }
}

}  // namespace ane::math
