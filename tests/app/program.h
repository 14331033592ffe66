#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

/// Runs the built ane-train as a user would.
namespace cli_test {

using Words = std::vector<std::string>;

/// A new directory that is removed after the test.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct Result {
  int code = -1;    ///< exit code, or 128 + n if signal n ended it
  std::string out;  ///< standard output
  std::string err;  ///< standard error
};

/// Whether --device ane may succeed here. If so, programs run on the host unless the test selects a device.
#ifdef __APPLE__
constexpr bool kMayHaveEngine = true;
#else
constexpr bool kMayHaveEngine = false;
#endif

/// A process that runs in `folder`, with the environment of this one (without its ANE_ variables) and `environment`.
class Program {
 public:
  Program(const Words& arguments, const Words& environment, const std::filesystem::path& folder,
          const std::string& executable = ANE_TRAIN_PROGRAM);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void send(int signal) const;
  /// Waits until standard output contains `text`; false if the program ended without it.
  [[nodiscard]] bool wait_for(const std::string& text);
  [[nodiscard]] bool has_ended();
  [[nodiscard]] std::string out() const { return read("out"); }  ///< so far
  [[nodiscard]] Result wait();

 private:
  [[nodiscard]] std::string read(const char* stream) const;

  Folder streams_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// Runs to the end.
Result run(const Words& arguments, const Words& environment = {}, const std::filesystem::path& folder = ".",
           const std::string& executable = ANE_TRAIN_PROGRAM);

/// Runs ane-train ("$0" "$@") in a shell script.
Result run_in_shell(const std::string& command, const Words& arguments, const std::filesystem::path& folder);

[[nodiscard]] std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& bytes);
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);
/// The number of files and directories in `folder`; 0 if it does not exist.
[[nodiscard]] std::ptrdiff_t entries_in(const std::filesystem::path& folder);
/// Whether `folder` has an entry whose name begins with `prefix`. It may be missing or change meanwhile.
[[nodiscard]] bool has_entry(const std::filesystem::path& folder, const std::string& prefix);
/// Whether a run has written a checkpoint in `folder`.
[[nodiscard]] bool has_checkpoint(const std::filesystem::path& folder);

}  // namespace cli_test
