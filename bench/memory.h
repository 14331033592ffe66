#pragma once

#include <cstddef>
#include <span>

#include "ane/core/mapped_memory.h"

namespace ane::bench {

/// A separate array of floats, in huge pages if available, for measuring bounds. Filled with values of ordinary size.
/// Throws std::system_error.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t count);

  [[nodiscard]] float* data() const noexcept { return reinterpret_cast<float*>(memory_.data()); }
  [[nodiscard]] std::span<float> all() const noexcept { return {data(), size()}; }
  [[nodiscard]] std::size_t size() const noexcept { return memory_.size() / sizeof(float); }

 private:
  MappedMemory memory_;
};

}  // namespace ane::bench
