#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ane/math/gemm.h"
#include "ane/mil/program.h"
#include "ane/model/parameters.h"

/// The matrix products that a step cannot do without, read off the programs and the parameters that it runs with.
namespace ane::bench {

/// C[b, m, n] (+)= A[b, m, k] B[b, k, n], every matrix packed and row-major as it is stored.
struct Product {
  std::string name{};
  std::size_t batches = 1;
  std::size_t m = 0, n = 0, k = 0;
  math::Transpose a = math::Transpose::no;
  math::Transpose b = math::Transpose::no;
  bool shared_b = false;    ///< one B for all batches
  bool accumulate = false;  ///< adds to C
  /// With a table of constants, which stands for something cheaper (RoPE's turn of neighbours): no floor holds it.
  bool avoidable = false;
  // What an operand is, if it is memory of its own (a weight, a gradient); empty for an activation.
  std::string a_memory{}, b_memory{}, c_memory{};
  std::string part{};  ///< of a step, if it belongs to one: a kernel
  int run = 0;         ///< of the kernel, in the step

  [[nodiscard]] double flops() const noexcept;
};

/// The products of a kernel's program. Weights are named `prefix` + the blob's path.
[[nodiscard]] std::vector<Product> products_of(const mil::Program& program, const std::string& prefix);

/// A step's products on the CPU: the gradient of every weight that kernels hold, and the classifier's three,
/// its weights' last.
struct CpuProducts {
  std::vector<Product> classifier;
  std::vector<Product> weight_gradients;
};
[[nodiscard]] CpuProducts cpu_products(const model::ParameterLayout& layout, std::size_t seq_len);

/// The same products turned as `calls` made them: as they are, or as C^T = B^T A^T, with operands that were stored the
/// other way. Throws Error unless each product was called, and each call is a product; avoidable ones may be missing.
[[nodiscard]] std::vector<Product> as_called(std::vector<Product> products, const std::vector<Product>& calls);

}  // namespace ane::bench
