#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ane::train {

/// The one internal variable of a restart: the state's descriptor and when exec was called.
inline constexpr const char* kStateVariable = "ANE_TRAIN_STATE";

struct Handoff {
  int descriptor = -1;
  std::int64_t exec_ns = 0;  ///< monotonic clock, just before exec
};

/// What `value` of the variable says. Throws UsageError if it is malformed (it is set by the program, never by people).
[[nodiscard]] std::optional<Handoff> parse_handoff(const char* value);

/// `current` with the variable set, replacing an earlier one: a pure function, so that it can be tested.
[[nodiscard]] std::vector<std::string> restart_environment(std::span<const std::string> current,
                                                           const Handoff& handoff);

/// Replaces this process by the executable it runs from (never argv[0]), with the same arguments. Returns only by
/// throwing Error with the system's words; the descriptor is then still open here.
[[noreturn]] void exec_self(std::span<const std::string> arguments, std::span<const std::string> environment,
                            int descriptor);

}  // namespace ane::train
