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
};

/// Ready at the first call. Throws Error naming the library if it cannot be loaded.
[[nodiscard]] const Blas& blas();

}  // namespace ane::math
