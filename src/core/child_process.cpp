#include "ane/core/child_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane {

namespace {

constexpr std::size_t kMostErrorBytes = 2000;
constexpr auto kToDie = std::chrono::seconds(5);

[[noreturn]] void cannot_start(std::string_view doing, int error) {
  throw DeviceError(fmt::format("a process cannot be started: {}: {}", doing, system_message(error)));
}

/// The two ends of a pipe or of a pair of sockets, close-on-exec.
struct Ends {
  explicit Ends(const std::array<int, 2>& ends) : ours(ends[0]), theirs(ends[1]) {
    for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  Descriptor ours;
  Descriptor theirs;
};

Ends make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) cannot_start("creating a pipe failed", errno);
  return Ends(ends);
}

/// Unlike a pipe, a socket can be written without the signal SIGPIPE, which would stop a run.
Ends make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) cannot_start("creating a socket failed", errno);
#ifdef SO_NOSIGPIPE
  const int on = 1;
  ::setsockopt(ends[0], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
  return Ends(ends);
}

/// The streams of a child.
class SpawnActions {
 public:
  /// `input`: -1 for none.
  SpawnActions(int input, int output, int errors) {
    ::posix_spawn_file_actions_init(&actions_);
    if (input < 0)
      ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    else
      ::posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, errors, STDERR_FILENO);
  }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

/// No signal is blocked in the child, whatever the calling thread blocks.
class SpawnAttributes {
 public:
  explicit SpawnAttributes(bool has_own_group) {
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    int flags = POSIX_SPAWN_SETSIGMASK;
    if (has_own_group) flags |= POSIX_SPAWN_SETPGROUP;  // the group 0, which is the default, is a new one
    ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
  }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  [[nodiscard]] const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

pid_t spawn(std::string path, std::span<const std::string> environment, const SpawnActions& actions,
            const SpawnAttributes& attributes) {
  std::array<char*, 2> arguments = {path.data(), nullptr};
  std::vector<char*> variables;
  for (const std::string& entry : environment) variables.push_back(const_cast<char*>(entry.c_str()));
  variables.push_back(nullptr);
  pid_t process = -1;
  const int error =
      ::posix_spawn(&process, path.c_str(), actions.get(), attributes.get(), arguments.data(), variables.data());
  if (error != 0) cannot_start(path, error);
  return process;
}

/// Reads what is available; false at the end.
bool append_from(int descriptor, std::string& text) {
  std::array<char, 4096> bytes{};
  const ssize_t count = ::read(descriptor, bytes.data(), bytes.size());
  if (count > 0) text.append(bytes.data(), static_cast<std::size_t>(count));
  return count > 0 || (count < 0 && errno == EINTR);
}

int milliseconds_until(ChildProcess::Time deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
}

}  // namespace

std::string to_string(const ProcessEnd& end) {
  if (end.signal) return fmt::format("was killed by signal {} ({})", *end.signal, ::strsignal(*end.signal));
  return fmt::format("ended with exit code {}", end.exit_code.value_or(0));
}

std::string last_error(std::string_view errors) {
  constexpr std::string_view kName = "ane-train: ";
  while (errors.ends_with('\n')) errors.remove_suffix(1);
  errors.remove_prefix(errors.rfind('\n') + 1);
  return std::string(errors.starts_with(kName) ? errors.substr(kName.size()) : errors);
}

ChildProcess::ChildProcess(const std::string& executable, std::span<const std::string> environment, Kind kind) {
  const bool is_server = kind == Kind::server;
  Ends output = make_pipe();
  Ends errors = make_pipe();
  Descriptor input;
  if (is_server) {
    Ends ends = make_sockets();
    input_ = std::move(ends.ours);
    input = std::move(ends.theirs);
  }
  process_ =
      spawn(executable, environment, SpawnActions(input ? input.get() : -1, output.theirs.get(), errors.theirs.get()),
            SpawnAttributes(is_server));
  output_ = std::move(output.ours);
  error_output_ = std::move(errors.ours);
}

ChildProcess::~ChildProcess() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  // A process that waits for a driver may not even end then; it is left behind.
  static_cast<void>(wait(std::chrono::steady_clock::now() + kToDie));
}

bool ChildProcess::send(std::string_view text) noexcept {
#ifdef MSG_NOSIGNAL
  constexpr int kFlags = MSG_NOSIGNAL;
#else
  constexpr int kFlags = 0;
#endif
  while (!text.empty()) {
    const ssize_t count = ::send(input_.get(), text.data(), text.size(), kFlags);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool ChildProcess::read_some(Time deadline) {
  std::array<pollfd, 2> streams = {pollfd{output_.get(), POLLIN, 0}, pollfd{error_output_.get(), POLLIN, 0}};
  if (!output_ && !error_output_) return false;
  if (::poll(streams.data(), streams.size(), milliseconds_until(deadline)) <= 0) return true;
  if (streams[0].revents != 0 && !append_from(output_.get(), unread_)) output_ = Descriptor();
  if (streams[1].revents != 0 && !append_from(error_output_.get(), errors_)) error_output_ = Descriptor();
  if (errors_.size() > kMostErrorBytes) errors_.erase(0, errors_.size() - kMostErrorBytes);
  return true;
}

// What has arrived counts even after the deadline: this process may have been suspended.
ChildProcess::Read ChildProcess::read_line(std::string& line, Time deadline) {
  for (bool is_late = false;; is_late = std::chrono::steady_clock::now() >= deadline) {
    if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
      line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return Read::line;
    }
    if (is_late) return Read::late;
    if (!read_some(deadline)) return Read::ended;
  }
}

std::optional<ProcessEnd> ChildProcess::wait(Time deadline) noexcept {
  constexpr auto kPause = std::chrono::milliseconds(2);
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(process_, &status, WNOHANG);
    if (ended == process_) break;
    if (ended < 0 && errno != EINTR) return std::nullopt;
    if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(kPause);
  }
  process_ = -1;
  ProcessEnd end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

}  // namespace ane
