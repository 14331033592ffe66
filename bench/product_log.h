#pragma once

#include <functional>
#include <vector>

#include "products.h"

namespace ane::bench {

/// All calls of math::gemm and gemm_serial during `run`, on all threads, through an interposed function
/// (CMakeLists.txt).
[[nodiscard]] std::vector<Product> products_called_by(const std::function<void()>& run);

/// Whether the linker supports interposing; otherwise nothing is recorded.
[[nodiscard]] bool notes_products() noexcept;

}  // namespace ane::bench
