#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "ane/core/descriptor.h"

namespace ane {

/// How a process ended: one of the two.
struct ProcessEnd {
  std::optional<int> exit_code;
  std::optional<int> signal;
};
/// "was killed by signal 9 (Killed)", "ended with exit code 4".
[[nodiscard]] std::string to_string(const ProcessEnd& end);

/// The last line of what a process of this program wrote to its standard error, without the program's name.
[[nodiscard]] std::string last_error(std::string_view errors);

/// A child process that runs an executable without arguments. It answers in lines on its standard output.
class ChildProcess {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// A job has no input. A server reads requests from its standard input and ends when this input ends; it has its own
  /// process group, so that the signals of a terminal do not reach it.
  enum class Kind { job, server };

  /// Throws DeviceError if the process cannot be created.
  ChildProcess(const std::string& executable, std::span<const std::string> environment, Kind kind);
  /// Kills the process if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Writes to the process's input; false if it no longer reads.
  [[nodiscard]] bool send(std::string_view text) noexcept;
  void end_input() noexcept { input_ = Descriptor(); }

  enum class Read { line, ended, late };
  /// Reads the next line of the process's output, without its line break. `ended`: there is none, because the process
  /// has closed its streams. `late`: there was none by `deadline`.
  [[nodiscard]] Read read_line(std::string& line, Time deadline);
  /// Waits for the end of the process; nullopt if it has not ended by `deadline`.
  [[nodiscard]] std::optional<ProcessEnd> wait(Time deadline) noexcept;
  /// The last bytes of its standard error, as far as read_line() has read it.
  [[nodiscard]] const std::string& errors() const noexcept { return errors_; }

 private:
  /// Reads what is available, waiting until `deadline`; false if both streams have ended.
  [[nodiscard]] bool read_some(Time deadline);

  Descriptor input_;
  Descriptor output_;
  Descriptor error_output_;
  std::string unread_;
  std::string errors_;
  pid_t process_ = -1;  ///< -1 once it has been waited for
};

}  // namespace ane
