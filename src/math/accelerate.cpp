#ifdef __APPLE__

#include "blas.h"

namespace ane::math {
namespace {

// The setting is per thread and exists since macOS 15; before, products as small as ours run on the calling thread
// anyway.
void hold_to_one_thread() noexcept {
#ifdef __MAC_15_0
  if (__builtin_available(macOS 15.0, *)) BLASSetThreading(BLAS_THREADING_SINGLE_THREADED);
#endif
}

}  // namespace

const Blas& blas() {
  static const Blas accelerate{&cblas_sgemm, &cblas_sgemv, "Accelerate"};
  hold_to_one_thread();
  return accelerate;
}

BlasUse::BlasUse(int threads) : threads_(threads) {}
BlasUse::~BlasUse() = default;

}  // namespace ane::math

#endif
