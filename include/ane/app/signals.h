#pragma once

#include <atomic>
#include <csignal>
#include <cstddef>
#include <vector>

namespace ane::app {

/// Added to the number of a signal that ended a command: its exit code.
inline constexpr int kSignalExit = 128;

/// Thrown to end a command that writes nothing unless it is complete, when a signal stops it. run_program() reports it.
struct Stopped {
  int signal = 0;
};

/// Handles train::kStopSignals as requests to stop. A second SIGINT kills at once, because a user wants it; repeating
/// the others has no effect, because they arrive in pairs (timeout and closing terminals send two, the system sends
/// SIGXCPU every second and SIGPIPE for each line of output). Only one object may exist at a time; the destructor
/// restores the old handlers. A signal that the process ignored from the start (nohup, a shell's background job) stays
/// ignored. Belongs to the thread that creates it, which must be the only one to receive these signals.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Becomes true at the first signal.
  [[nodiscard]] const std::atomic<bool>& stop() const noexcept;
  /// The first signal's number; 0 if there was none.
  [[nodiscard]] int number() const noexcept;
  /// Throws Stopped if there was a signal.
  void check() const {
    if (stop()) throw Stopped{number()};
  }

 private:
  std::vector<std::byte> handler_stack_;
  stack_t stack_before_ = {};
};

/// If the system would kill the process at its processor time limit without sending SIGXCPU first, lowers the soft
/// limit so that there is time for a checkpoint.
void leave_processor_time_to_stop() noexcept;

}  // namespace ane::app
