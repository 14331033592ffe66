#include "floor.h"

#include <algorithm>
#include <utility>

#include "ane/math/gemm.h"

namespace ane::bench {
namespace {

using math::MatrixOperand;
using math::Transpose;

std::size_t stride(Transpose transpose, std::size_t rows, std::size_t columns) {
  return transpose == Transpose::yes ? rows : columns;
}

void run_product(const Product& product, const float* a, const float* b, float* c, math::ThreadPool& threads) {
  const std::size_t m = product.m;
  const std::size_t n = product.n;
  const std::size_t k = product.k;
  const float beta = product.accumulate ? 1 : 0;
  const auto operand_a = [&](std::size_t batch) {
    return MatrixOperand{a + batch * m * k, stride(product.a, m, k), product.a};
  };
  const auto operand_b = [&](std::size_t batch) {
    return MatrixOperand{b + (product.shared_b ? 0 : batch * k * n), stride(product.b, k, n), product.b};
  };
  const bool one_a_thread = product.batches >= static_cast<std::size_t>(threads.size()) && product.batches > 1;
  if (!one_a_thread) {
    for (std::size_t batch = 0; batch < product.batches; ++batch)
      math::gemm(m, n, k, 1, operand_a(batch), operand_b(batch), beta, c + batch * m * n, n, threads);
    return;
  }
  threads.parallel_for(product.batches, 1, [&](math::Range range) {
    for (std::size_t batch = range.begin; batch < range.end; ++batch)
      math::gemm_serial(m, n, k, 1, operand_a(batch), operand_b(batch), beta, c + batch * m * n, n);
  });
}

}  // namespace

GemmFloor::GemmFloor(std::vector<Product> products, math::ThreadPool& threads)
    : products_(std::move(products)), threads_(&threads) {
  std::size_t a = 0;
  std::size_t b = 0;
  std::size_t c = 0;
  const auto reserve = [this](const std::string& memory, std::size_t count, std::size_t& shared) {
    if (memory.empty()) {
      shared = std::max(shared, count);
    } else if (!own_.contains(memory)) {
      own_.emplace(memory, Floats(count));
    }
  };
  for (const Product& product : products_) {
    reserve(product.a_memory, product.batches * product.m * product.k, a);
    reserve(product.b_memory, (product.shared_b ? 1 : product.batches) * product.k * product.n, b);
    reserve(product.c_memory, product.batches * product.m * product.n, c);
  }
  a_ = Floats(a);
  b_ = Floats(b);
  c_ = Floats(c);
}

float* GemmFloor::place(const std::string& memory, Floats& shared) {
  return memory.empty() ? shared.data() : own_.at(memory).data();
}

std::vector<Duration> GemmFloor::run() {
  std::vector<Duration> times;
  times.reserve(products_.size());
  for (const Product& product : products_) {
    const float* const a = place(product.a_memory, a_);
    const float* const b = place(product.b_memory, b_);
    float* const c = place(product.c_memory, c_);
    times.push_back(time_of([&] { run_product(product, a, b, c, *threads_); }));
  }
  return times;
}

double GemmFloor::flops() const noexcept {
  double sum = 0;
  for (const Product& product : products_) sum += product.flops();
  return sum;
}

}  // namespace ane::bench
