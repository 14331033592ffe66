// A program that re-executes itself PROBE_RESTARTS times, passing its state on, and then prints the result as JSON:
// {"argv": [...], "environment": [...], "state_intact": true, ...}. PROBE_DISTURB makes it disturb its own executable
// before each restart: "remove" deletes it, "replace" replaces it by a file that is not a program. PROBE_SIGNAL=1
// raises SIGTERM while signals are blocked for the restart.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "ane/train/clock.h"
#include "ane/train/optimizer.h"
#include "ane/train/restart.h"
#include "ane/train/state.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): some systems declare it, some do not

namespace {

constexpr std::size_t kParameters = 100003;
constexpr std::uint64_t kFingerprint = 0xABCDEF;

std::atomic<int> signals_seen =
    0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): signal handlers need it

void count_signal(int) { ++signals_seen; }

float expected_value(std::size_t index, std::size_t array) {
  return static_cast<float>(index % 1021) + 2000.0F * static_cast<float>(array);
}

void fill(ane::train::StateArena& state) {
  for (std::size_t i = 0; i < kParameters; ++i) {
    state.parameters()[i] = expected_value(i, 0);
    for (std::size_t m = 0; m < 2; ++m) state.slot(m)[i] = expected_value(i, m + 1);
  }
  state.progress().step = 123;
}

bool intact(ane::train::StateArena& state) {
  for (std::size_t i = 0; i < kParameters; ++i) {
    if (state.parameters()[i] != expected_value(i, 0)) return false;
    for (std::size_t m = 0; m < 2; ++m)
      if (state.slot(m)[i] != expected_value(i, m + 1)) return false;
  }
  return state.progress().step == 123;
}

int open_descriptors() {
  int count = 0;
  for (int descriptor = 0; descriptor < 256; ++descriptor)
    if (::fcntl(descriptor, F_GETFD) >= 0) ++count;
  return count;
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void disturb_executable(const std::string& how) {
  const std::filesystem::path path = setting("PROBE_PATH");
  if (how == "remove") std::filesystem::remove(path);
  if (how == "replace") {
    const std::filesystem::path other = path.string() + ".new";
    std::ofstream(other) << "not a program\n";
    std::filesystem::rename(other, path);
  }
}

void print(ane::train::StateArena& state, const std::vector<std::string>& arguments,
           const std::vector<std::string>& environment) {
  const nlohmann::json result = {{"argv", arguments},
                                 {"environment", environment},
                                 {"state_intact", intact(state)},
                                 {"restarts", state.totals().restarts},
                                 {"restart_ns", state.totals().restart_ns},
                                 {"signals", signals_seen.load()},
                                 {"descriptors", open_descriptors()},
                                 {"pid", ::getpid()}};
  std::puts(result.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGTERM, count_signal);
  ane::train::unblock_stop_signals();

  const std::vector<std::string> arguments(argv, argv + argc);
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  try {
    const auto state_handle = ane::train::parse_state_handle(std::getenv(ane::train::kStateVariable));
    ane::model::ParameterLayout layout;
    layout.add({"tensor", {kParameters}});
    ane::train::StateSlots slots = ane::train::optimizer_slots({}, layout);
    ane::train::StateArena state =
        state_handle ? ane::train::StateArena(state_handle->descriptor, kParameters, std::move(slots), kFingerprint)
                     : ane::train::StateArena(kParameters, std::move(slots), kFingerprint);
    if (state_handle)
      ane::train::count_restart(state, *state_handle);
    else
      fill(state);
    const ane::train::RunClock clock(state.totals());
    if (state.totals().restarts >= std::stoll(setting("PROBE_RESTARTS"))) {
      print(state, arguments, environment);
      return 0;
    }
    const ane::train::BlockedSignals blocked;
    if (setting("PROBE_SIGNAL") == "1") std::raise(SIGTERM);
    disturb_executable(setting("PROBE_DISTURB"));
    const auto next = ane::train::restart_environment(environment, {state.descriptor(), ane::train::monotonic_ns()});
    ane::train::exec_self(arguments, next, std::vector{state.descriptor()});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "restart_probe: %s\n", error.what());
    return 1;
  }
}
