#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace ane::explore {

/// How a child process ended.
struct ChildEnd {
  std::optional<int> exit_code;
  std::optional<int> signal;
  bool timed_out = false;  ///< and was killed
  std::string errors;      ///< the last bytes of its standard error
};

/// Runs `executable` without arguments until it ends, or kills it after `limit`. `on_line` gets each complete line
/// of its standard output. Throws DeviceError if the process cannot be created.
[[nodiscard]] ChildEnd run_child(const std::string& executable, std::span<const std::string> environment,
                                 std::chrono::nanoseconds limit,
                                 const std::function<void(const std::string&)>& on_line);

}  // namespace ane::explore
