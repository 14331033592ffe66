#pragma once

#ifdef __APPLE__
#include <Accelerate/Accelerate.h>
#else
#include <cblas.h>
#endif

#include <string>

namespace ane::math {

/// The BLAS in use, limited to one thread per call: its own threads would compete with the pool's for the cores.
struct Blas {
  decltype(&cblas_sgemm) sgemm;
  decltype(&cblas_sgemv) sgemv;  ///< null if `sgemm` is as fast for a single column or row
  std::string description;       ///< name, version, selected kernels
  /// Buffers that OpenBLAS acquires and releases in every call; null for other libraries.
  struct Buffers {
    void* (*allocate)(int) = nullptr;
    void (*release)(void*) = nullptr;
  } buffers{};
};

/// Loads the BLAS at the first call. Throws DeviceError naming the library if it cannot be loaded.
[[nodiscard]] const Blas& blas();

/// Registers, during its lifetime, threads that may call the BLAS concurrently. Loads the BLAS and reserves the memory
/// it needs for all of them; throws DeviceError if there is not enough.
class BlasUse {
 public:
  explicit BlasUse(int threads);
  ~BlasUse();
  BlasUse(const BlasUse&) = delete;
  BlasUse& operator=(const BlasUse&) = delete;

 private:
  [[maybe_unused]] int threads_;  // unused with Accelerate
};

}  // namespace ane::math
