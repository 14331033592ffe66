#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ane/math/gemm.h"
#include "ane/mil/program.h"
#include "ane/model/parameters.h"

/// The matrix products that a step requires, derived from its programs and parameters.
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
  /// A product with a constant table that could be replaced by something cheaper (RoPE's rotation); not part of the
  /// bound.
  bool avoidable = false;
  // Name of an operand with its own memory (a weight, a gradient); empty for an activation.
  std::string a_memory{}, b_memory{}, c_memory{};
  std::string part{};  ///< part of a step, such as a kernel; may be empty
  int run = 0;         ///< index of the kernel's run in the step

  [[nodiscard]] double flops() const noexcept;
};

/// The products of a kernel's program. Weights are named `prefix` + the blob's path.
[[nodiscard]] std::vector<Product> products_of(const mil::Program& program, const std::string& prefix);

/// A step's products on the CPU: the gradient of every trained weight in kernels, with those of adapters' factors, and
/// the classifier's products, its weight gradient last.
struct CpuProducts {
  std::vector<Product> classifier;
  std::vector<Product> weight_gradients;
};
/// `all`: the parameters of the model, of which `trained` are trained; the factors of adapters are only in `trained`.
[[nodiscard]] CpuProducts cpu_products(const model::ParameterLayout& all, const model::ParameterLayout& trained,
                                       std::size_t seq_len);

/// The same products in the form of `calls`: unchanged, or as C^T = B^T A^T with transposed operands. Throws Error
/// unless products and calls match one to one; avoidable products may be missing.
[[nodiscard]] std::vector<Product> as_called(std::vector<Product> products, const std::vector<Product>& calls);

}  // namespace ane::bench
