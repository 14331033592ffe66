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
///     if (stop) ...                        // it was set in time: do as if run() had said `interrupted`
///     exec_self(arguments, restart_environment(environment, {state.descriptor(), monotonic_ns()}), descriptors);
///
/// The stop signals stay blocked across exec, so one that arrives meanwhile waits. The new process starts its
/// threads, which inherit the mask and so never take them, installs its handlers and calls unblock_stop_signals(). (The
/// first process does best to hold a BlockedSignals until then, too.)
namespace ane::train {

/// The one internal variable of a restart: the state's descriptor and when exec was called.
inline constexpr const char* kStateVariable = "ANE_TRAIN_STATE";

struct Handoff {
  int descriptor = -1;
  std::int64_t exec_ns = 0;  ///< monotonic clock, just before exec
};

/// What `value` of the variable says; nothing if it is null. Throws UsageError if it is malformed (it is set by the
/// program, never by people).
[[nodiscard]] std::optional<Handoff> parse_handoff(const char* value);

/// `current` with the variable set, replacing an earlier one: a pure function, so that it can be tested.
[[nodiscard]] std::vector<std::string> restart_environment(std::span<const std::string> current,
                                                           const Handoff& handoff);

/// Replaces this process by the executable it runs from (never argv[0]), with the same arguments. On Linux that is the
/// running file itself, even if another took its place or it was removed. Of the descriptors that close on exec,
/// `kept` alone stay open. Returns only by throwing Error with the system's words; they then close on exec again. The
/// caller holds a BlockedSignals.
[[noreturn]] void exec_self(std::span<const std::string> arguments, std::span<const std::string> environment,
                            std::span<const int> kept);

/// What a re-executed process does with its adopted state first: counts the restart and books the time since the last
/// process's last update. Returns the time since exec, for ResumeEvent.
Duration count_restart(StateArena& state, const Handoff& handoff) noexcept;

/// What asks a run to stop: Ctrl-C, kill, a terminal that is closed, a program that read the output and has ended, and
/// processor time that is used up.
inline constexpr std::array kStopSignals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXCPU};

/// Those are blocked for the calling thread, and those it starts, while this lives and across exec.
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
