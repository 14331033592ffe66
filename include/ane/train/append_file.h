#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "ane/core/descriptor.h"

namespace ane::train {

/// A file that the processes of a run append to: telemetry, a trace. Each text is written with one system call, so it
/// stays complete when the process is replaced or killed.
class AppendFile {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// `what` names the content in messages: "telemetry". `handed_over` is the descriptor() of the previous process, so
  /// that the reader of a pipe does not see it closed. Throws FileError if `path` cannot be opened for appending.
  AppendFile(std::filesystem::path path, std::string what, Warn warn, std::optional<int> handed_over = {});

  /// If writing fails, calls `warn` once and drops this and later texts.
  void write(std::string_view text);
  void empty() noexcept;
  /// Descriptor for the restart, unless writing has failed; still owned by the file, and close-on-exec.
  [[nodiscard]] std::optional<int> descriptor() const noexcept;
  /// Repairs an incomplete last line of a killed process: removes it if it is (the beginning of) a line that starts
  /// with `line_start`, and otherwise terminates it. Works only for regular files.
  void mend_end(std::string_view line_start);

 private:
  [[nodiscard]] std::string unfinished_line() const;

  std::filesystem::path path_;
  std::string what_;
  Warn warn_;
  Descriptor file_;
};

}  // namespace ane::train
