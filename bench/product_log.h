#pragma once

#include <functional>
#include <vector>

#include "products.h"

namespace ane::bench {

/// Every matrix product that this process makes while `run` runs, on all threads, as math::gemm and gemm_serial are
/// called: the linker puts a log before them (CMakeLists.txt).
[[nodiscard]] std::vector<Product> products_called_by(const std::function<void()>& run);

/// Whether the linker could do that; nothing is noted otherwise.
[[nodiscard]] bool notes_products() noexcept;

}  // namespace ane::bench
