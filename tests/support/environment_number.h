#pragma once

#include <cstdint>
#include <cstdlib>

/// The number in the environment variable `name`, or `otherwise` if it is not set.
inline std::uint64_t environment_number(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
