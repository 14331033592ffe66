#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace ane::app {

/// How the process was started.
struct Invocation {
  std::span<const std::string> arguments;  ///< beginning with the program's name
  std::span<const std::string> environment;
  std::int64_t started_ns = 0;  ///< monotonic clock
};

}  // namespace ane::app
