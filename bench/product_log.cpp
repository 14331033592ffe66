#include "product_log.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "ane/math/gemm.h"

namespace ane::bench {
namespace {

using math::MatrixOperand;

/// Global because a function that the linker interposes has no other context.
struct Log {
  std::atomic<bool> open{false};
  std::mutex mutex;
  std::vector<Product> products;

  void add(std::size_t m, std::size_t n, std::size_t k, const MatrixOperand& a, const MatrixOperand& b, float beta) {
    if (!open.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(mutex);
    products.push_back({.m = m, .n = n, .k = k, .a = a.transpose, .b = b.transpose, .accumulate = beta != 0});
  }
};

Log& log() {
  static Log only;
  return only;
}

}  // namespace

std::vector<Product> products_called_by(const std::function<void()>& run) {
  log().open = true;
  run();
  log().open = false;
  const std::lock_guard lock(log().mutex);
  return std::exchange(log().products, {});
}

#ifdef ANE_GEMM

bool notes_products() noexcept { return true; }

void real_gemm(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
               float* c, std::size_t c_stride, math::ThreadPool& pool) asm("__real_" ANE_GEMM);
void noted_gemm(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
                float* c, std::size_t c_stride, math::ThreadPool& pool) asm("__wrap_" ANE_GEMM);
void real_gemm_serial(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b,
                      float beta, float* c, std::size_t c_stride) asm("__real_" ANE_GEMM_SERIAL);
void noted_gemm_serial(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b,
                       float beta, float* c, std::size_t c_stride) asm("__wrap_" ANE_GEMM_SERIAL);

void noted_gemm(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b, float beta,
                float* c, std::size_t c_stride, math::ThreadPool& pool) {
  log().add(m, n, k, a, b, beta);
  real_gemm(m, n, k, alpha, a, b, beta, c, c_stride, pool);
}

void noted_gemm_serial(std::size_t m, std::size_t n, std::size_t k, float alpha, MatrixOperand a, MatrixOperand b,
                       float beta, float* c, std::size_t c_stride) {
  log().add(m, n, k, a, b, beta);
  real_gemm_serial(m, n, k, alpha, a, b, beta, c, c_stride);
}

#else

bool notes_products() noexcept { return false; }

#endif

}  // namespace ane::bench
