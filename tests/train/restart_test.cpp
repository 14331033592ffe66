#include "ane/train/restart.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ane/core/descriptor.h"
#include "ane/core/error.h"

#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/slots.h"

using namespace ane::train;
namespace fs = std::filesystem;

namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

/// A copy of the probe program that a test may destroy.
class Probe {
 public:
  explicit Probe(const TemporaryDirectory& directory) : path_(directory.path() / "a probe") {
    fs::copy_file(ANE_RESTART_PROBE, path_);
  }

  /// Runs it with `arguments` after argv[0] and `environment`, and returns the output of its last process.
  [[nodiscard]] nlohmann::json run(std::vector<std::string> arguments, std::vector<std::string> environment) const {
    arguments.insert(arguments.begin(), "argv zero, which names no file");
    environment.push_back("PROBE_PATH=" + path_.string());
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const ane::Descriptor out(ends[0]);
    ane::Descriptor in(ends[1]);
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_addclose(&actions, out.get());
    ::posix_spawn_file_actions_addclose(&actions, in.get());
    pid_t process = 0;
    const int error = ::posix_spawn(&process, path_.c_str(), &actions, nullptr, pointers(arguments).data(),
                                    pointers(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
    in = ane::Descriptor();

    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::read(out.get(), buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(got));
    int status = 0;
    REQUIRE(::waitpid(process, &status, 0) == process);
    CAPTURE(text, status);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
    nlohmann::json result = nlohmann::json::parse(text);
    CHECK(result["pid"] == process);
    return result;
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("the state variable is parsed as it was set", "[train]") {
  const std::vector<std::string> current{"HOME=/root", "ANE_TRAIN_STATE=3:77", "EMPTY=", "ANE_TRAIN_STATE_DIR=x"};
  const auto next = restart_environment(current, {.descriptor = 5, .exec_ns = 123456789012345});
  CHECK(next ==
        std::vector<std::string>{"HOME=/root", "EMPTY=", "ANE_TRAIN_STATE_DIR=x", "ANE_TRAIN_STATE=5:123456789012345"});
  const auto state_handle = parse_state_handle("5:123456789012345");
  REQUIRE(state_handle.has_value());
  CHECK(state_handle->descriptor == 5);
  CHECK(state_handle->exec_ns == 123456789012345);
  CHECK_FALSE(parse_state_handle(nullptr).has_value());
}

TEST_CASE("an invalid state variable is refused", "[train][malformed]") {
  const std::string value = GENERATE("", ":", "5", "5:", ":7", "-1:7", "5:-7", "5:7 ", " 5:7", "a:b", "5:7:9", "0x5:7",
                                     "99999999999:7", "5:99999999999999999999");
  CAPTURE(value);
  CHECK_THROWS_AS(parse_state_handle(value.c_str()), ane::UsageError);
  CHECK_THROWS_WITH(parse_state_handle(value.c_str()), ANE_CONTAINS("ANE_TRAIN_STATE='" + value + "'"));
}

TEST_CASE("state, arguments and environment survive restarts", "[train][restart]") {
  const TemporaryDirectory directory;
  const Probe probe(directory);
  const int restarts = GENERATE(0, 1, 5);
  const std::vector<std::string> arguments{"--data", "a file.txt", "", "it's \"quoted\"", "$HOME `x` \\ \n\t*",
                                           "--",     "\xc3\xa4"};
  const std::vector<std::string> environment{"PROBE_RESTARTS=" + std::to_string(restarts), "SPACES=a b  c",
                                             "EMPTY=", "QUOTES='\""};
  const auto result = probe.run(arguments, environment);
  CHECK(result["state_intact"] == true);
  CHECK(result["restarts"] == restarts);
  CHECK((result["restart_ns"].get<std::int64_t>() > 0) == (restarts > 0));

  auto expected_arguments = arguments;
  expected_arguments.insert(expected_arguments.begin(), "argv zero, which names no file");
  CHECK(result["argv"] == expected_arguments);
  auto found = result["environment"].get<std::vector<std::string>>();
  found.erase(std::remove_if(found.begin(), found.end(),
                             [](const std::string& entry) {
                               return entry.starts_with("ANE_TRAIN_STATE=") || entry.starts_with("PROBE_PATH=") ||
                                      entry.starts_with("__CF_USER_TEXT_ENCODING=");  // set by CoreFoundation
                             }),
              found.end());
  CHECK(found == environment);
  CHECK(probe.run(arguments, {"PROBE_RESTARTS=0"})["descriptors"] == result["descriptors"]);
}

#ifdef __linux__
TEST_CASE("a process restarts although its executable was replaced or removed", "[train][restart]") {
  const TemporaryDirectory directory;
  const Probe probe(directory);
  const std::string how = GENERATE("remove", "replace");
  CAPTURE(how);
  const auto result = probe.run({"x"}, {"PROBE_RESTARTS=3", "PROBE_DISTURB=" + how});
  CHECK(result["state_intact"] == true);
  CHECK(result["restarts"] == 3);
  CHECK(fs::exists(probe.path()) == (how == "replace"));
}
#endif

TEST_CASE("a signal that arrives during a restart reaches the next process", "[train][restart]") {
  const TemporaryDirectory directory;
  const Probe probe(directory);
  const auto result = probe.run({}, {"PROBE_RESTARTS=1", "PROBE_SIGNAL=1"});
  CHECK(result["restarts"] == 1);
  CHECK(result["signals"] == 1);
}

TEST_CASE("what the first steps after a restart cost beyond others is a cost of the restart", "[train][restart]") {
  using std::chrono::milliseconds;
  const auto ns = [](milliseconds time) { return Duration(time).count(); };
  RunTotals totals;
  totals.train_ns = ns(milliseconds(100));
  totals.restart_ns = ns(milliseconds(5));
  CHECK(count_first_steps(totals, milliseconds(40)) == Duration());  // nothing to compare with
  totals.other_groups = 3;
  totals.other_groups_ns = ns(milliseconds(30));
  CHECK(count_first_steps(totals, milliseconds(9)) == Duration());  // faster than the others
  CHECK(totals.train_ns == ns(milliseconds(100)));
  CHECK(count_first_steps(totals, milliseconds(40)) == milliseconds(30));
  CHECK(totals.train_ns == ns(milliseconds(70)));
  CHECK(totals.restart_ns == ns(milliseconds(35)));
}

TEST_CASE("a failed exec reports the reason and leaves the descriptor unchanged", "[train][restart]") {
  const StateArena state(10, adamw_slots(10), 1);
  const std::vector<std::string> arguments{"ane-train", std::string(64 << 20, 'x')};
  CHECK_THROWS_AS(exec_self(arguments, {}, std::vector{state.descriptor()}), ane::Error);
  CHECK_THROWS_WITH(exec_self(arguments, {}, std::vector{state.descriptor()}), ANE_CONTAINS("Argument list too long"));
  CHECK((::fcntl(state.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_THROWS_WITH(exec_self({}, {}, std::vector{9999}), ANE_CONTAINS("Bad file descriptor"));
}

TEST_CASE("BlockedSignals blocks the stop signals during its lifetime", "[train]") {
  const auto is_blocked = [](int signal) {
    sigset_t blocked{};
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return sigismember(&blocked, signal) == 1;
  };
  {
    const BlockedSignals outer;
    CHECK(std::ranges::all_of(kStopSignals, is_blocked));
    CHECK_FALSE(is_blocked(SIGUSR1));
    { const BlockedSignals inner; }
    CHECK(std::ranges::all_of(kStopSignals, is_blocked));
  }
  CHECK(std::ranges::none_of(kStopSignals, is_blocked));
}
