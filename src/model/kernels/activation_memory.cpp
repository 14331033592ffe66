#include "kernels/activation_memory.h"

#include <system_error>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::model {

MappedMemory activation_memory(std::size_t elements) {
  try {
    return MappedMemory::anonymous(elements * sizeof(float));
  } catch (const std::system_error& error) {
    const std::size_t bytes = elements * sizeof(float);
    throw UsageError(
        fmt::format("the activations of a step need {} bytes ({:.1f} GB) of memory, more than a limit on this process "
                    "(ulimit -v) leaves: {}; use a shorter sequence or a smaller model",
                    bytes, static_cast<double>(bytes) / 1e9, error.code().message()));
  }
}

}  // namespace ane::model
