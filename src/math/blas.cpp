#ifndef __APPLE__

#include "blas.h"

#include <optional>
#include <string>

#include <fmt/format.h>
#include <sys/resource.h>

#include "onednn.h"
#include "openblas.h"

namespace ane::math {
namespace {

bool has_avx512() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

bool has_avx2() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

const Blas& loaded_openblas() {
  static const Blas loaded = load_openblas(has_avx512() ? "SKYLAKEX" : has_avx2() ? "HASWELL" : nullptr);
  return loaded;
}

/// oneDNN 2.6 crashes if the address space is limited; OpenBLAS can reserve its memory in advance.
bool address_space_is_limited() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

const std::optional<Blas>& loaded_onednn() {
  static const std::optional<Blas> loaded = address_space_is_limited() ? std::nullopt : load_onednn();
  return loaded;
}

/// With AVX2, oneDNN is up to 15% faster for small products and 3% for large ones, but it takes 1.2 to 1.5 times as
/// long as OpenBLAS if both operands are transposed and the result is wide, like the classifier's (Zen 3, oneDNN 2.6
/// against OpenBLAS 0.3.21, one thread).
void sgemm_of_both(CBLAS_ORDER order, CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b, int m, int n, int k,
                   float alpha, const float* a, int a_stride, const float* b, int b_stride, float beta, float* c,
                   int c_stride) {
  const bool is_slow = transpose_a == CblasTrans && transpose_b == CblasTrans && m < n;
  const Blas& library = is_slow ? loaded_openblas() : *loaded_onednn();
  library.sgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
}

/// On AVX-512, oneDNN is 10% faster for the products of kernels and equally fast for those of weight gradients.
Blas load() {
  if (!loaded_onednn() || !(has_avx512() || has_avx2())) return loaded_openblas();
  if (has_avx512()) return *loaded_onednn();
  Blas both = loaded_openblas();
  both.sgemm = &sgemm_of_both;
  both.description = fmt::format("{} and {}", loaded_onednn()->description, loaded_openblas().description);
  return both;
}

}  // namespace

const Blas& blas() {
  static const Blas loaded = load();
  return loaded;
}

}  // namespace ane::math

#endif
