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
  std::string name;
  std::size_t batches = 1;
  std::size_t m = 0, n = 0, k = 0;
  math::Transpose a = math::Transpose::no;
  math::Transpose b = math::Transpose::no;
  bool shared_b = false;    ///< one B for all batches
  bool accumulate = false;  ///< adds to C
  // What an operand is, if it is memory of its own (a weight, a gradient); empty for an activation.
  std::string a_memory{}, b_memory{}, c_memory{};

  [[nodiscard]] double flops() const noexcept;
};

/// The products of a kernel's program. Weights are named `prefix` + the blob's path. A `matmul` with a constant is left
/// out: such a table stands for something cheaper (RoPE's turn of neighbours), which no step needs as a product.
[[nodiscard]] std::vector<Product> products_of(const mil::Program& program, const std::string& prefix);

/// A step's products on the CPU: the gradient of every weight that kernels hold, and the classifier's three.
struct CpuProducts {
  std::vector<Product> classifier;
  std::vector<Product> weight_gradients;
};
[[nodiscard]] CpuProducts cpu_products(const model::ParameterLayout& layout, std::size_t seq_len);

}  // namespace ane::bench
