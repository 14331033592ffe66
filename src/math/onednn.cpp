#ifndef __APPLE__

#include "onednn.h"

#include <cstdint>

#include <dlfcn.h>
#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::math {
namespace {

// Declared here, not included: the library is optional, and so are its headers.
using Sgemm = int(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
                  const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float beta, float* c,
                  std::int64_t c_stride);
using Version = const int*();  // major, minor, patch
using SetThreads = void(int);  // OpenMP's: applies to the calling thread

struct OneDnn {
  Sgemm* sgemm = nullptr;
  Version* version = nullptr;
  SetThreads* set_threads = nullptr;
  [[nodiscard]] bool complete() const noexcept {
    return sgemm != nullptr && version != nullptr && set_threads != nullptr;
  }
};

// Debian 13 gives every minor version of oneDNN 3 its own library name, which CMake has looked up.
void* open_onednn() {
  for (const char* name : {ANE_ONEDNN_LIBRARY, "libdnnl.so.3", "libdnnl.so.2"}) {
    if (*name == '\0') continue;  // dlopen("") would return this program
    if (void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

OneDnn find() {
  void* const library = open_onednn();
  if (library == nullptr) return {};
  return {reinterpret_cast<Sgemm*>(::dlsym(library, "dnnl_sgemm")),
          reinterpret_cast<Version*>(::dlsym(library, "dnnl_version")),
          reinterpret_cast<SetThreads*>(::dlsym(library, "omp_set_num_threads"))};
}

const OneDnn& onednn() {
  static const OneDnn found = find();
  return found;
}

char letter(CBLAS_TRANSPOSE transpose) noexcept { return transpose == CblasTrans ? 'T' : 'N'; }

/// OpenMP has this setting per calling thread.
void hold_to_one_thread() {
  thread_local bool held = false;
  if (!held) onednn().set_threads(1);  // NOLINT(clang-analyzer-core.CallAndMessage): load_onednn() checked it
  held = true;
}

/// Like cblas_sgemm for row-major matrices.
void sgemm(CBLAS_ORDER /*order*/, CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b, int m, int n, int k,
           float alpha, const float* a, int a_stride, const float* b, int b_stride, float beta, float* c,
           int c_stride) {
  hold_to_one_thread();
  const int status = onednn().sgemm(letter(transpose_a), letter(transpose_b), m, n, k, alpha, a, a_stride, b, b_stride,
                                    beta, c, c_stride);
  if (status != 0)
    throw DeviceError(fmt::format("oneDNN cannot multiply [{}, {}] with [{}, {}] (status {}); is memory exhausted?", m,
                                  k, k, n, status));
}

}  // namespace

std::optional<Blas> load_onednn() {
  if (!onednn().complete()) return std::nullopt;
  const int* const version = onednn().version();
  return Blas{&sgemm, nullptr, fmt::format("oneDNN {}.{}.{}", version[0], version[1], version[2])};
}

}  // namespace ane::math

#endif
