#pragma once

#include <atomic>
#include <csignal>
#include <cstddef>
#include <vector>

namespace ane::cli {

/// train::kStopSignals ask for a stop; the same signal a second time kills at once, but for SIGPIPE, which each line of
/// output may bring. One at a time; restores the old handlers when it goes. A signal that the process ignores from the
/// start (nohup, a shell's background job) stays ignored. Belongs to the thread that makes it, which alone may take
/// these signals.
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

}  // namespace ane::cli
