#pragma once

#include <map>
#include <string>
#include <vector>

#include "ane/math/threads.h"

#include "memory.h"
#include "products.h"
#include "statistics.h"

namespace ane::bench {

/// The GEMM bound: the time of the matrix products alone, with the BLAS and threads of a step, in fp32. Each weight and
/// gradient has its own memory, so that it must be loaded from memory; activations share three buffers, so that they
/// stay in cache if they fit.
class GemmFloor {
 public:
  GemmFloor(std::vector<Product> products, math::ThreadPool& threads);

  /// Runs all products once, in order, and returns the time of each.
  [[nodiscard]] std::vector<Duration> run();
  [[nodiscard]] const std::vector<Product>& products() const noexcept { return products_; }
  [[nodiscard]] double flops() const noexcept;

 private:
  [[nodiscard]] float* place(const std::string& memory, Floats& shared);

  std::vector<Product> products_;
  math::ThreadPool* threads_;
  std::map<std::string, Floats> own_;
  Floats a_, b_, c_;
};

}  // namespace ane::bench
