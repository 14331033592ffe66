#include "ane/math/gemm.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <hwy/targets.h>

#include "compare.h"
#include "support/catch.h"

namespace {

using ane::math::gemm;
using ane::math::gemm_serial;
using ane::math::MatrixOperand;
using ane::math::normal_values;
using ane::math::relative_error;
using ane::math::ThreadPool;
using ane::math::Transpose;

// fp32 sums of k products: the error grows like sqrt(k) * 2^-24, and k is at most some hundreds.
constexpr double kProductTolerance = 2e-6;

struct Product {
  std::size_t m, n, k;
  Transpose turn_a = Transpose::no;
  Transpose turn_b = Transpose::no;
  std::size_t padding = 0;  // of every stride
  std::vector<float> a_values = normal_values(stored_rows(turn_a, m, k) * a_stride(), 1);
  std::vector<float> b_values = normal_values(stored_rows(turn_b, k, n) * b_stride(), 2);

  static std::size_t stored_rows(Transpose turn, std::size_t rows, std::size_t columns) {
    return turn == Transpose::yes ? columns : rows;
  }
  std::size_t a_stride() const { return (turn_a == Transpose::yes ? m : k) + padding; }
  std::size_t b_stride() const { return (turn_b == Transpose::yes ? k : n) + padding; }
  std::size_t c_stride() const { return n + padding; }
  MatrixOperand a() const { return {a_values.data(), a_stride(), turn_a}; }
  MatrixOperand b() const { return {b_values.data(), b_stride(), turn_b}; }

  static double at(const MatrixOperand& operand, std::size_t row, std::size_t column) {
    if (operand.transpose == Transpose::yes) std::swap(row, column);
    return static_cast<double>(operand.data[row * operand.stride + column]);
  }

  /// The expected `c`, with its padding unchanged.
  std::vector<double> expected(float alpha, float beta, const std::vector<float>& c) const {
    std::vector<double> result = ane::math::to_double(c);
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::size_t l = 0; l < k; ++l) sum += at(a(), i, l) * at(b(), l, j);
        double& value = result[i * c_stride() + j];
        value = static_cast<double>(alpha) * sum + (beta == 0 ? 0 : static_cast<double>(beta) * value);
      }
    }
    return result;
  }
};

TEST_CASE("a product agrees with its definition, however it is stored and split", "[math][gemm]") {
  const auto [m, n, k] = GENERATE(table<std::size_t, std::size_t, std::size_t>({{1, 1, 1},
                                                                                {3, 5, 7},
                                                                                {16, 64, 32},
                                                                                {17, 65, 33},
                                                                                {100, 1, 50},
                                                                                {1, 100, 50},
                                                                                {200, 30, 40},
                                                                                {30, 300, 40},
                                                                                {129, 131, 67}}));
  const auto turn_a = GENERATE(Transpose::no, Transpose::yes);
  const auto turn_b = GENERATE(Transpose::no, Transpose::yes);
  const std::size_t padding = GENERATE(0U, 3U);
  CAPTURE(m, n, k, static_cast<bool>(turn_a), static_cast<bool>(turn_b), padding);
  const Product product{m, n, k, turn_a, turn_b, padding};
  const std::vector<float> c = normal_values(m * product.c_stride(), 3);
  for (const auto& [alpha, beta] : {std::pair(1.0F, 0.0F), {1.0F, 1.0F}, {-0.5F, 2.0F}}) {
    CAPTURE(alpha, beta);
    const std::vector<double> expected = product.expected(alpha, beta, c);
    std::vector<float> found = c;
    gemm_serial(m, n, k, alpha, product.a(), product.b(), beta, found.data(), product.c_stride());
    CHECK(relative_error(found, expected) <= kProductTolerance);
    for (const int threads : {1, 2, 3}) {
      CAPTURE(threads);
      ThreadPool pool(threads);
      found = c;
      gemm(m, n, k, alpha, product.a(), product.b(), beta, found.data(), product.c_stride(), pool);
      CHECK(relative_error(found, expected) <= kProductTolerance);
    }
  }
}

TEST_CASE("with beta 0 the old C does not matter", "[math][gemm]") {
  const auto [m, n] =
      GENERATE(table<std::size_t, std::size_t>({{1, 1}, {40, 1}, {1, 40}, {8, 8}, {40, 40}, {150, 150}}));
  CAPTURE(m, n);
  const Product product{m, n, 40};
  std::vector<float> c(m * n, std::numeric_limits<float>::quiet_NaN());
  ThreadPool pool(2);
  gemm(m, n, 40, 1, product.a(), product.b(), 0, c.data(), n, pool);
  CHECK(relative_error(c, product.expected(1, 0, c)) <= kProductTolerance);
}

TEST_CASE("an empty sum scales C, and an empty C is left alone", "[math][gemm]") {
  ThreadPool pool(2);
  std::vector<float> c{1, 2, 3, 4};
  gemm(2, 2, 0, 1, {nullptr, 0, Transpose::no}, {nullptr, 2, Transpose::no}, 0.5F, c.data(), 2, pool);
  CHECK(c == std::vector<float>{0.5F, 1, 1.5F, 2});
  gemm(2, 2, 0, 1, {nullptr, 0, Transpose::no}, {nullptr, 2, Transpose::no}, 0, c.data(), 2, pool);
  CHECK(c == std::vector<float>(4, 0));
  c = {1, 2, 3, 4};
  const std::vector<float> operand(4, 1);
  gemm(0, 2, 2, 1, {operand.data(), 2}, {operand.data(), 2}, 0, c.data(), 2, pool);
  gemm(2, 0, 2, 1, {operand.data(), 2}, {operand.data(), 0}, 0, c.data(), 0, pool);
  CHECK(c == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("a product has the same bits each time", "[math][gemm]") {
  const int threads = GENERATE(1, 2, 3);
  CAPTURE(threads);
  const Product product{192, 130, 77};
  ThreadPool pool(threads);
  const auto multiply = [&] {
    std::vector<float> c(192 * 130);
    gemm(192, 130, 77, 1, product.a(), product.b(), 0, c.data(), 130, pool);
    return c;
  };
  const std::vector<float> first = multiply();
  for (int i = 0; i < 20; ++i) REQUIRE(multiply() == first);
}

TEST_CASE("products may run on several threads at once", "[math][gemm]") {
  const Product product{64, 64, 64};
  std::vector<float> expected(64 * 64);
  gemm_serial(64, 64, 64, 1, product.a(), product.b(), 0, expected.data(), 64);
  std::vector<std::vector<float>> found(4, std::vector<float>(64 * 64));
  std::vector<std::thread> threads;
  for (std::vector<float>& c : found) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) gemm_serial(64, 64, 64, 1, product.a(), product.b(), 0, c.data(), 64);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& c : found) CHECK(c == expected);
}

// On a processor that is newer than the library, its own choice is SSE3 ("Prescott").
TEST_CASE("the BLAS uses the processor's vector instructions", "[math][gemm]") {
#if HWY_ARCH_X86
  if ((hwy::SupportedTargets() & HWY_AVX2) != 0 && std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    CHECK_THAT(ane::math::blas_name(), !ANE_CONTAINS("Prescott") && !ANE_CONTAINS("Core2"));
  }
#endif
  SUCCEED("a processor that OpenBLAS knows");
}

TEST_CASE("the BLAS in use has a name", "[math][gemm]") { CHECK_FALSE(std::string(ane::math::blas_name()).empty()); }

}  // namespace
