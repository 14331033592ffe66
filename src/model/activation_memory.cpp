#include "activation_memory.h"

#include <system_error>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::model {

MappedMemory activation_memory(std::size_t elements) {
  try {
    return MappedMemory::anonymous(elements * sizeof(float));
  } catch (const std::system_error& error) {
    throw DeviceError(fmt::format(
        "no memory for the activations of a step: {} bytes ({:.1f} GB): {}; a shorter sequence or "
        "a smaller model would need less",
        elements * sizeof(float), static_cast<double>(elements * sizeof(float)) / 1e9, error.code().message()));
  }
}

}  // namespace ane::model
