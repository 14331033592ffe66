#pragma once

#include <array>
#include <csignal>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/train/observer.h"
#include "ane/train/state.h"

/// How a process replaces itself without losing its state or a signal:
///
///     BlockedSignals blocked;              // nothing more can set the stop flag
///     if (stop) ...                        // set in time: handle it like Outcome::interrupted
///     exec_self(arguments, restart_environment(environment, {state.descriptor(), monotonic_ns()}), descriptors);
///
/// The stop signals stay blocked across exec, so one that arrives meanwhile stays pending. The new process starts its
/// threads, which inherit the mask and so never receive them, installs its handlers and calls unblock_stop_signals().
/// The first process should hold a BlockedSignals until then, too.
namespace ane::train {

/// Internal environment variable of a restart: the state's descriptor and the time of exec.
inline constexpr const char* kStateVariable = "ANE_TRAIN_STATE";

struct StateHandle {
  int descriptor = -1;
  std::int64_t exec_ns = 0;  ///< monotonic clock, just before exec
};

/// Parses the variable's `value`; nullopt if it is null. Throws UsageError if it is malformed (only the program sets
/// it).
[[nodiscard]] std::optional<StateHandle> parse_state_handle(const char* value);

/// Returns `current` with the variable set, replacing an earlier value. A pure function, for tests.
[[nodiscard]] std::vector<std::string> restart_environment(std::span<const std::string> current,
                                                           const StateHandle& state_handle);

/// Replaces this process with its own executable (never argv[0]) and the same arguments. On Linux that is the running
/// file itself, even if it was replaced or removed. Of the close-on-exec descriptors, only `kept` stay open. Returns
/// only by throwing Error with the system's message; the descriptors are then close-on-exec again. The caller must hold
/// a BlockedSignals.
[[noreturn]] void exec_self(std::span<const std::string> arguments, std::span<const std::string> environment,
                            std::span<const int> kept);

/// Must be called first on an adopted state: counts the restart and books the time since the previous process's last
/// update. Returns the time since exec, for ResumeEvent.
Duration count_restart(StateArena& state, const StateHandle& state_handle) noexcept;

/// `time` is the time of the first steps since a restart, which has been counted as training. The part that exceeds the
/// mean of the run's other groups of steps is counted as restart cost instead, and returned: a new process has cold
/// caches and touches its memory for the first time. Returns 0 as long as there are no other groups.
Duration count_first_steps(RunTotals& totals, Duration time) noexcept;

/// Signals that stop a run: Ctrl-C, kill, a closed terminal, the exit of the program that reads the output, and the
/// processor time limit.
inline constexpr std::array kStopSignals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXCPU};

/// Blocks these signals for the calling thread and the threads it starts, during its lifetime and across exec.
class BlockedSignals {
 public:
  BlockedSignals() noexcept;
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

void unblock_stop_signals() noexcept;

}  // namespace ane::train
