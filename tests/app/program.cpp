#include "app/program.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/small_run.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace cli_test {
namespace {

namespace fs = std::filesystem;

constexpr auto kPoll = std::chrono::milliseconds(2);

/// This process's environment without ANE_* and what `added` replaces.
std::vector<std::string> environment_of_tests(const Words& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('=') + 1);
    const auto replaces = [&](const std::string& other) { return other.starts_with(name); };
    if (!text.starts_with("ANE_") && std::ranges::none_of(added, replaces)) result.push_back(text);
  }
  result.insert(result.end(), added.begin(), added.end());
  const auto names_device = [](const std::string& text) { return text.starts_with("ANE_DEVICE="); };
  if (kMayHaveEngine && std::ranges::none_of(added, names_device)) result.emplace_back("ANE_DEVICE=host");
  return result;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

void redirect(int stream, const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (descriptor < 0 || ::dup2(descriptor, stream) < 0) ::_exit(126);
  ::close(descriptor);
}

}  // namespace

Folder::Folder() {
  std::string pattern =
      (fs::temp_directory_path() / "ane-train test XXXXXX").string();  // with a blank, to test quoting
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = pattern;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Program::Program(const Words& arguments, const Words& environment, const fs::path& folder,
                 const std::string& executable) {
  std::vector<std::string> words = {executable};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<std::string> variables = environment_of_tests(environment);
  const std::vector<char*> argv = pointers(words);
  const std::vector<char*> envp = pointers(variables);
  const std::string out = streams_ / "out";
  const std::string err = streams_ / "err";
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ > 0) return;

  // A shell's background job ignores SIGINT; these tests simulate a foreground job.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_DFL);
  redirect(STDIN_FILENO, "/dev/null");
  redirect(STDOUT_FILENO, out);
  redirect(STDERR_FILENO, err);
  if (::chdir(folder.c_str()) == 0) ::execve(executable.c_str(), argv.data(), envp.data());
  ::_exit(127);
}

Program::~Program() {
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status_, 0);
}

void Program::send(int signal) const { ::kill(pid_, signal); }

bool Program::has_ended() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

bool Program::wait_for(const std::string& text) {
  for (;;) {
    const bool ended = has_ended();  // before reading, so that the last output is seen
    if (read("out").find(text) != std::string::npos) return true;
    if (ended) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

Result Program::wait() {
  if (!ended_) ::waitpid(pid_, &status_, 0);
  ended_ = true;
  const int code = WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
  return {code, read("out"), read("err")};
}

std::string Program::read(const char* stream) const { return read_file(streams_ / stream); }

Result run(const Words& arguments, const Words& environment, const fs::path& folder, const std::string& executable) {
  return Program(arguments, environment, folder, executable).wait();
}

Result run_in_shell(const std::string& command, const Words& arguments, const fs::path& folder) {
  return Program(Words{"-c", command, ANE_TRAIN_PROGRAM} + arguments, {}, folder, "/bin/sh").wait();
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::ptrdiff_t entries_in(const fs::path& folder) {
  if (!fs::exists(folder)) return 0;
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

bool has_entry(const fs::path& folder, const std::string& prefix) {
  std::error_code ignored;  // entries appear and disappear
  for (fs::directory_iterator entry(folder, ignored); entry != fs::directory_iterator(); entry.increment(ignored))
    if (entry->path().filename().string().starts_with(prefix)) return true;
  return false;
}

bool has_checkpoint(const fs::path& folder) { return has_entry(folder, "step-"); }

}  // namespace cli_test
