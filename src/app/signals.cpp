#include "ane/app/signals.h"

#include <algorithm>
#include <csignal>

#include <sys/resource.h>

#include "ane/train/restart.h"

namespace ane::app {
namespace {

constexpr std::size_t kHandlerStackBytes = std::size_t{1} << 16U;  // a frame contains every register: 11 KB with AMX

// A handler can only write to globals.
std::atomic<bool> stop_requested{false};      // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
volatile std::sig_atomic_t first_signal = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

extern "C" void request_stop(int number) {
  if (first_signal == 0) first_signal = number;
  stop_requested.store(true, std::memory_order_relaxed);
}

}  // namespace

StopSignals::StopSignals() : handler_stack_(kHandlerStackBytes) {
  stop_requested = false;
  first_signal = 0;
  // oneDNN's products keep a data address in the stack pointer while they run: a handler on that stack would overwrite
  // the heap.
  stack_t stack = {};
  stack.ss_sp = handler_stack_.data();
  stack.ss_size = handler_stack_.size();
  sigaltstack(&stack, &stack_before_);
  for (const int number : train::kStopSignals) {
    struct sigaction present = {};
    sigaction(number, nullptr, &present);
    if (present.sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    action.sa_handler = request_stop;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    if (number == SIGINT) action.sa_flags |= static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (const int number : train::kStopSignals) {
    struct sigaction present = {};
    sigaction(number, nullptr, &present);
    if (present.sa_handler == request_stop) std::signal(number, SIG_DFL);
  }
  sigaltstack(&stack_before_, nullptr);
}

// NOLINTBEGIN(readability-convert-member-functions-to-static): the state is global, but belongs to the object
const std::atomic<bool>& StopSignals::stop() const noexcept { return stop_requested; }
int StopSignals::number() const noexcept { return first_signal; }
// NOLINTEND(readability-convert-member-functions-to-static)

void leave_processor_time_to_stop() noexcept {
  constexpr rlim_t kMostSeconds = 60;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_CPU, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return;
  if (limit.rlim_cur < limit.rlim_max) return;  // a deliberate choice of the user
  const rlim_t reserve = std::clamp<rlim_t>(limit.rlim_max / 10, 1, kMostSeconds);
  if (limit.rlim_max <= reserve) return;
  limit.rlim_cur = limit.rlim_max - reserve;
  ::setrlimit(RLIMIT_CPU, &limit);
}

}  // namespace ane::app
