#pragma once

#include <atomic>
#include <csignal>
#include <cstddef>
#include <vector>

namespace ane::cli {

/// train::kStopSignals ask for a stop. A second SIGINT kills at once, as somebody sits there and wants it; the others
/// come in twos by themselves (timeout and terminals that close send two, the system SIGXCPU every second and SIGPIPE
/// for each line of output) and wait for the checkpoint. One at a time; restores the old handlers when it goes. A
/// signal that the process ignores from the start (nohup, a shell's background job) stays ignored. Belongs to the
/// thread that makes it, which alone may take these signals.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Set by the first signal.
  [[nodiscard]] const std::atomic<bool>& stop() const noexcept;
  /// Which it was; 0 if none came.
  [[nodiscard]] int number() const noexcept;

 private:
  std::vector<std::byte> handler_stack_;
  stack_t stack_before_ = {};
};

/// Where the limit on processor time is one at which the system kills without a SIGXCPU before, lowers the part of it
/// that brings one, so that there is time left for a checkpoint.
void leave_processor_time_to_stop() noexcept;

}  // namespace ane::cli
