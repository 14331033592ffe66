#include "ane/math/orthogonalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "compare.h"
#include "support/catch.h"

namespace {

using ane::math::normal_values;
using ane::math::orthogonalize;
using ane::math::orthogonalize_workspace;
using ane::math::ThreadPool;
using Matrix = std::vector<double>;  // row-major

Matrix product(const Matrix& a, const Matrix& b, std::size_t m, std::size_t k, std::size_t n) {
  Matrix c(m * n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t l = 0; l < k; ++l)
      for (std::size_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
  return c;
}

Matrix transposed(const Matrix& a, std::size_t rows, std::size_t columns) {
  Matrix result(a.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) result[j * rows + i] = a[i * columns + j];
  return result;
}

/// The formula, term by term, in float64.
Matrix newton_schulz(Matrix x, std::size_t rows, std::size_t columns) {
  double norm = 0;
  for (const double value : x) norm += value * value;
  for (double& value : x) value /= std::sqrt(norm) + 1e-7;
  for (int step = 0; step < 5; ++step) {
    const Matrix gram = product(x, transposed(x, rows, columns), rows, columns, rows);
    const Matrix cubic = product(gram, x, rows, rows, columns);
    const Matrix quintic = product(gram, cubic, rows, rows, columns);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 3.4445 * x[i] - 4.7750 * cubic[i] + 2.0315 * quintic[i];
  }
  return x;
}

std::vector<float> orthogonalized(std::vector<float> matrix, std::size_t rows, std::size_t columns, int threads) {
  ThreadPool pool(threads);
  std::vector<float> result(matrix.size(), -1);
  std::vector<float> workspace(orthogonalize_workspace(rows, columns), std::numeric_limits<float>::quiet_NaN());
  orthogonalize(rows, columns, matrix, result, workspace, pool);
  return result;
}

double largest_difference(const std::vector<float>& found, const Matrix& expected) {
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(found[i]) - expected[i]));
  return largest;
}

}  // namespace

TEST_CASE("a matrix of any form is orthogonalized as its formula says in float64", "[math][optimizer]") {
  const auto [rows, columns] = GENERATE(
      table<std::size_t, std::size_t>({{1, 1}, {1, 40}, {40, 1}, {33, 33}, {20, 64}, {64, 20}, {96, 160}, {160, 96}}));
  const int threads = GENERATE(1, 2, 3);
  CAPTURE(rows, columns, threads);
  const std::vector<float> matrix = normal_values(rows * columns, 3);
  const Matrix expected = newton_schulz(ane::math::to_double(matrix), rows, columns);
  // A rounding error of 6e-8 in the direction of a small singular value grows by up to 3.4445^5.
  CHECK(largest_difference(orthogonalized(matrix, rows, columns, threads), expected) <= 3e-5);
}

TEST_CASE("orthogonalizing a transposed matrix gives the transposed result", "[math][optimizer]") {
  const std::vector<float> matrix = normal_values(std::size_t{24 * 50}, 4);
  const Matrix turned = transposed(ane::math::to_double(matrix), 24, 50);
  const std::vector<float> wide = orthogonalized(matrix, 24, 50, 2);
  const std::vector<float> tall = orthogonalized({turned.begin(), turned.end()}, 50, 24, 2);
  CHECK(largest_difference(tall, transposed(ane::math::to_double(wide), 24, 50)) <= 3e-5);
}

TEST_CASE("the rows of an orthogonalized matrix are nearly orthonormal", "[math][optimizer]") {
  const std::size_t rows = 24;
  const std::size_t columns = 96;
  const std::vector<float> result = orthogonalized(normal_values(rows * columns, 5), rows, columns, 2);
  const Matrix x = ane::math::to_double(result);
  const Matrix gram = product(x, transposed(x, rows, columns), rows, columns, rows);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < rows; ++j)
      CHECK(std::abs(gram[i * rows + j] - (i == j ? 1 : 0)) <= 0.55);  // singular values from 0.68 to 1.2, squared
}

TEST_CASE("orthogonalizing does not depend on the scale of a matrix", "[math][optimizer]") {
  const std::vector<float> matrix = normal_values(600, 6);
  const Matrix expected = ane::math::to_double(orthogonalized(matrix, 20, 30, 1));
  const float factor = GENERATE(1e-3F, 1e15F);
  std::vector<float> scaled = matrix;
  for (float& value : scaled) value *= factor;
  // The epsilon beside a norm of 0.02 makes a difference of 5e-6.
  CHECK(largest_difference(orthogonalized(scaled, 20, 30, 1), expected) <= 6e-5);
}

TEST_CASE("a zero matrix stays zero, and one that is not finite does not become finite", "[math][optimizer]") {
  const std::vector<float> zero(12 * 20);
  CHECK(orthogonalized(zero, 12, 20, 2) == zero);
  const float bad = GENERATE(std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> spoiled = normal_values(std::size_t{12 * 20}, 7);
  spoiled[33] = bad;
  const std::vector<float> result = orthogonalized(spoiled, 12, 20, 2);
  CHECK(std::ranges::none_of(result, [](float value) { return std::isfinite(value); }));
}

TEST_CASE("orthogonalizing gives the same bits each time", "[math][optimizer]") {
  const int threads = GENERATE(1, 2);
  const std::vector<float> matrix = normal_values(std::size_t{96 * 200}, 8);
  CHECK(orthogonalized(matrix, 96, 200, threads) == orthogonalized(matrix, 96, 200, threads));
}
