#include "app/processes.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <thread>

#include "app/program.h"

namespace cli_test {

namespace {

namespace fs = std::filesystem;

fs::path files_of(pid_t process) { return fs::path("/proc") / std::to_string(process); }

std::vector<pid_t> all_processes() {
  std::vector<pid_t> processes;
  std::error_code ignored;  // processes end meanwhile
  for (fs::directory_iterator entry("/proc", ignored); entry != fs::directory_iterator(); entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos) processes.push_back(std::stoi(name));
  }
  return processes;
}

struct Status {
  char state = '?';
  pid_t parent = 0;
};

/// The state and the parent follow the name in a process's status: "7 (name) S 1".
Status status_of(pid_t process) {
  const std::string text = read_file(files_of(process) / "stat");
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return {};
  return {text.at(end + 2), std::stoi(text.substr(end + 4))};
}

}  // namespace

pid_t parent_of(pid_t process) { return status_of(process).parent; }

bool is_ane_train(pid_t process) {
  std::error_code ignored;
  return fs::read_symlink(files_of(process) / "exe", ignored).filename().string().starts_with("ane-train");
}

std::vector<pid_t> processes_in(const fs::path& folder) {
  std::vector<pid_t> found = all_processes();
  const fs::path directory = fs::canonical(folder);
  std::erase_if(found, [&](pid_t process) {
    std::error_code ignored;
    return !is_ane_train(process) || fs::read_symlink(files_of(process) / "cwd", ignored) != directory;
  });
  return found;
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found = all_processes();
  std::erase_if(found, [parent](pid_t process) {
    const Status status = status_of(process);
    return status.parent != parent || status.state == 'Z';
  });
  return found;
}

bool are_gone(const std::vector<pid_t>& processes) {
  return std::ranges::all_of(processes, [](pid_t process) { return ::kill(process, 0) != 0; });
}

bool wait_until(const std::function<bool()>& condition) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace cli_test
