#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "ane/core/descriptor.h"

namespace ane::train {

/// A file that a run's processes append to, one after another: telemetry, a trace. Every text is given to the system in
/// one write, so it stays whole when the process is replaced or killed.
class AppendFile {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// `what` says in messages what the run then goes on without: "telemetry". `handed_over` is the descriptor() of the
  /// process before, which a pipe's reader then never sees closed. Throws FileError if `path` cannot be opened for
  /// appending.
  AppendFile(std::filesystem::path path, std::string what, Warn warn, std::optional<int> handed_over = {});

  /// If it cannot be written, `warn` is told once, and this and later texts are dropped.
  void write(std::string_view text);
  void empty() noexcept;
  /// For the hand-off, as long as it can be written; stays owned by the file, and closes on exec.
  [[nodiscard]] std::optional<int> descriptor() const noexcept;
  /// If the last line lacks its end, because whoever wrote it died: cuts it off if it is (the beginning of) a line that
  /// starts with `line_start`, and else ends it. Only regular files can tell.
  void mend_end(std::string_view line_start);

 private:
  [[nodiscard]] std::string unfinished_line() const;

  std::filesystem::path path_;
  std::string what_;
  Warn warn_;
  Descriptor file_;
};

}  // namespace ane::train
