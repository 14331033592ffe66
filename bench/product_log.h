#pragma once

#include <vector>

#include "products.h"

namespace ane::bench {

/// Notes every matrix product that this process makes while it lives, on all threads, as math::gemm and gemm_serial are
/// called: the linker puts this log before them (CMakeLists.txt). One at a time.
class ProductLog {
 public:
  ProductLog();
  ~ProductLog();
  ProductLog(const ProductLog&) = delete;
  ProductLog& operator=(const ProductLog&) = delete;

  /// Whether the linker could do that; nothing is noted otherwise.
  [[nodiscard]] static bool works() noexcept;
  [[nodiscard]] std::vector<Product> take();
};

}  // namespace ane::bench
