#pragma once

#include <map>
#include <string>
#include <vector>

#include "ane/math/threads.h"

#include "memory.h"
#include "products.h"
#include "statistics.h"

namespace ane::bench {

/// The time that products take and nothing else does: through the BLAS and the threads of a step, in fp32. Weights and
/// gradients lie each in memory of their own, so that they come from memory as they must; activations share three
/// buffers, so that they are in cache whenever they fit.
class GemmFloor {
 public:
  GemmFloor(std::vector<Product> products, math::ThreadPool& threads);

  /// Runs all once, in order; the time of each.
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
