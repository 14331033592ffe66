#include "ane/train/restart.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "ane/core/error.h"
#include "ane/core/own_executable.h"
#include "ane/train/clock.h"

namespace ane::train {

namespace {

constexpr char kSeparator = ':';

template <class Integer>
std::optional<Integer> whole_number(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::vector<char*> pointers(std::span<const std::string> strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  // execve's signature predates const; it does not modify the strings.
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

sigset_t stop_signals() noexcept {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : kStopSignals) sigaddset(&signals, number);
  return signals;
}

}  // namespace

std::optional<StateHandle> parse_state_handle(const char* value) {
  if (value == nullptr) return std::nullopt;
  const std::string_view text(value);
  const std::size_t separator = text.find(kSeparator);
  if (separator != std::string_view::npos) {
    const auto descriptor = whole_number<int>(text.substr(0, separator));
    const auto exec_ns = whole_number<std::int64_t>(text.substr(separator + 1));
    if (descriptor && exec_ns) return StateHandle{*descriptor, *exec_ns};
  }
  throw UsageError(
      fmt::format("{}='{}' is not what ane-train sets when it restarts itself (DESCRIPTOR:NANOSECONDS); "
                  "unset it",
                  kStateVariable, text));
}

std::vector<std::string> restart_environment(std::span<const std::string> current, const StateHandle& state_handle) {
  const std::string prefix = fmt::format("{}=", kStateVariable);
  std::vector<std::string> result;
  result.reserve(current.size() + 1);
  for (const std::string& entry : current)
    if (!entry.starts_with(prefix)) result.push_back(entry);
  result.push_back(fmt::format("{}{}{}{}", prefix, state_handle.descriptor, kSeparator, state_handle.exec_ns));
  return result;
}

void exec_self(std::span<const std::string> arguments, std::span<const std::string> environment,
               std::span<const int> kept) {
  const std::string path = own_executable();
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);

  const auto set_flags = [&](int flags) {
    return std::all_of(kept.begin(), kept.end(), [&](int each) { return ::fcntl(each, F_SETFD, flags) == 0; });
  };
  if (set_flags(0)) ::execve(path.c_str(), argv.data(), envp.data());
  const int error = errno;
  set_flags(FD_CLOEXEC);
  throw Error(fmt::format("the process could not re-execute itself to reset the compile budget: {}: {}", path,
                          system_message(error)));
}

Duration count_restart(StateArena& state, const StateHandle& state_handle) noexcept {
  RunTotals& totals = state.totals();
  ++totals.restarts;
  RunClock(totals).book(&RunTotals::restart_ns);
  return Duration(monotonic_ns() - state_handle.exec_ns);
}

Duration count_first_steps(RunTotals& totals, Duration time) noexcept {
  if (totals.other_groups == 0) return {};
  const Duration excess = std::max(Duration(), time - Duration(totals.other_groups_ns / totals.other_groups));
  totals.train_ns -= excess.count();
  totals.restart_ns += excess.count();
  return excess;
}

BlockedSignals::BlockedSignals() noexcept {
  const sigset_t signals = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, &before_);
}

BlockedSignals::~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void unblock_stop_signals() noexcept {
  const sigset_t signals = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace ane::train
