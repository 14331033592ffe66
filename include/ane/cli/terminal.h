#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "ane/cli/terminal_features.h"

namespace spdlog {
class logger;
}

namespace ane::cli {

/// Writes to standard error. Unlike fmt::print, does not throw if the terminal is closed or the disk is full.
void write_to_stderr(std::string_view text) noexcept;

/// Standard output for lines, standard error for the log and, if it is a terminal, a progress bar below them. The bar
/// is removed before a line is written, so it never garbles one.
class Terminal {
 public:
  /// What happens when a line cannot be written: an error for a command whose purpose is its output, or one warning for
  /// a training run, which is worth more than its output.
  enum class LostOutput { fails, is_warned_of };

  explicit Terminal(LostOutput lost_output = LostOutput::fails, std::FILE* output = stdout);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Writes a line and flushes it, so that the reader of a pipe sees it at once. Throws FileError depending on
  /// LostOutput.
  void print(std::string_view line);
  /// Writes exactly these bytes; otherwise like print().
  void write(std::string_view bytes);
  /// Throws FileError if a line was lost.
  void expect_all_written() const;
  void info(const std::string& message);
  void warn(const std::string& message);
  /// From now on, info() and warn() print nothing.
  void mute();

  [[nodiscard]] bool has_bar() const noexcept { return has_bar_; }
  [[nodiscard]] const TerminalFeatures& features() const noexcept { return features_; }
  /// Width of standard error's terminal in columns; 80 if it is not known.
  [[nodiscard]] static int columns() noexcept;
  void show_bar(std::string bar);
  void clear_bar();

 private:
  std::shared_ptr<spdlog::logger> log_;
  std::FILE* output_;
  std::string bar_;
  TerminalFeatures features_;
  bool has_bar_;
  bool bar_shown_ = false;
  LostOutput lost_output_;
  std::string lost_because_;  ///< empty: nothing was lost
};

}  // namespace ane::cli
