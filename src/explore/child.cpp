#include "child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ane/core/descriptor.h"
#include "ane/core/error.h"

namespace ane::explore {

namespace {

using Time = std::chrono::steady_clock::time_point;

constexpr std::size_t kMostErrorBytes = 2000;

[[noreturn]] void give_up(std::string_view doing, int error) {
  throw DeviceError(fmt::format("an experiment cannot run: {}: {}", doing, system_message(error)));
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) give_up("creating a pipe failed", errno);
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
    for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  Descriptor read;
  Descriptor write;
};

/// The streams of a child.
class SpawnActions {
 public:
  SpawnActions(int output, int errors) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
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

pid_t spawn(std::string path, std::span<const std::string> environment, const SpawnActions& actions) {
  std::array<char*, 2> arguments = {path.data(), nullptr};
  std::vector<char*> variables;
  for (const std::string& entry : environment) variables.push_back(const_cast<char*>(entry.c_str()));
  variables.push_back(nullptr);
  pid_t process = -1;
  const int error = ::posix_spawn(&process, path.c_str(), actions.get(), nullptr, arguments.data(), variables.data());
  if (error != 0) give_up(fmt::format("starting {} failed", path), error);
  return process;
}

/// Reads what is available; false at the end.
bool read_some(int from, std::string& into) {
  std::array<char, 4096> bytes{};
  const ssize_t count = ::read(from, bytes.data(), bytes.size());
  if (count > 0) into.append(bytes.data(), static_cast<std::size_t>(count));
  return count > 0 || (count < 0 && errno == EINTR);
}

void take_lines(std::string& text, const std::function<void(const std::string&)>& on_line) {
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
    on_line(text.substr(0, end));
    text.erase(0, end + 1);
  }
}

int milliseconds_until(Time deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
}

/// Reads both streams until they end; false if that takes longer than `deadline`.
bool read_streams(int output, int errors, Time deadline, std::string& error_text,
                  const std::function<void(const std::string&)>& on_line) {
  std::array<pollfd, 2> streams = {pollfd{output, POLLIN, 0}, pollfd{errors, POLLIN, 0}};
  std::string text;
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    if (::poll(streams.data(), streams.size(), milliseconds_until(deadline)) <= 0) continue;
    if (streams[0].revents != 0 && !read_some(output, text)) streams[0].fd = -1;
    if (streams[1].revents != 0 && !read_some(errors, error_text)) streams[1].fd = -1;
    take_lines(text, on_line);
    if (error_text.size() > kMostErrorBytes) error_text.erase(0, error_text.size() - kMostErrorBytes);
  }
  return true;
}

/// The status of a process that ends before `deadline`.
std::optional<int> status_of(pid_t process, Time deadline) {
  constexpr auto kPause = std::chrono::milliseconds(2);
  int status = 0;
  while (::waitpid(process, &status, WNOHANG) != process) {
    if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(kPause);
  }
  return status;
}

}  // namespace

ChildEnd run_child(const std::string& executable, std::span<const std::string> environment,
                   std::chrono::nanoseconds limit, const std::function<void(const std::string&)>& on_line) {
  const Time deadline =
      std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit);
  Pipe output;
  Pipe errors;
  const pid_t process = spawn(executable, environment, SpawnActions(output.write.get(), errors.write.get()));
  output.write = Descriptor();
  errors.write = Descriptor();
  ChildEnd end;
  std::optional<int> status;
  if (read_streams(output.read.get(), errors.read.get(), deadline, end.errors, on_line))
    status = status_of(process, deadline);
  if (!status) {
    // A process that waits for a driver may not even end then; it is left behind.
    constexpr auto kToDie = std::chrono::seconds(5);
    end.timed_out = true;
    ::kill(process, SIGKILL);
    static_cast<void>(status_of(process, std::chrono::steady_clock::now() + kToDie));
    return end;
  }
  if (WIFEXITED(*status)) end.exit_code = WEXITSTATUS(*status);
  if (WIFSIGNALED(*status)) end.signal = WTERMSIG(*status);
  return end;
}

}  // namespace ane::explore
