#pragma once

#ifdef __APPLE__
#include <Accelerate/Accelerate.h>
#else
#include <cblas.h>
#endif

#include <string>

namespace ane::math {

/// The BLAS in use, held to one thread a call: its own threads would fight the pool's for the cores.
struct Blas {
  decltype(&cblas_sgemm) sgemm;
  std::string description;  ///< name, version, the kernels it picked
  /// What OpenBLAS takes and gives back in every call; null in others.
  struct Buffers {
    void* (*allocate)(int) = nullptr;
    void (*release)(void*) = nullptr;
  } buffers{};
};

/// Ready at the first call. Throws DeviceError naming the library if it cannot be loaded.
[[nodiscard]] const Blas& blas();

/// Threads that may be in the BLAS at once, while this lives. It loads the BLAS and makes sure of the memory that it
/// needs for all of them: throws DeviceError if there is too little.
class BlasUse {
 public:
  explicit BlasUse(int threads);
  ~BlasUse();
  BlasUse(const BlasUse&) = delete;
  BlasUse& operator=(const BlasUse&) = delete;

 private:
  [[maybe_unused]] int threads_;  // Accelerate needs none to be counted
};

}  // namespace ane::math
