#include "ane/cli/terminal.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane::cli {

void write_to_stderr(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

Terminal::Terminal(LostOutput lost_output, std::FILE* output)
    : output_(output),
      features_(terminal_features()),
      has_bar_(features_.erases && ::isatty(STDERR_FILENO) == 1),
      lost_output_(lost_output) {
  const auto colors = features_.color ? spdlog::color_mode::automatic : spdlog::color_mode::never;
  log_ = std::make_shared<spdlog::logger>("ane-train", std::make_shared<spdlog::sinks::stderr_color_sink_st>(colors));
  log_->set_pattern("%H:%M:%S %^%l%$ %v");
}

Terminal::~Terminal() { clear_bar(); }

void Terminal::print(std::string_view line) { write(fmt::format("{}\n", line)); }

void Terminal::write(std::string_view bytes) {
  clear_bar();
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), output_) == bytes.size() && std::fflush(output_) == 0;
  if (written || !lost_because_.empty()) return;
  lost_because_ = system_message(errno);
  if (lost_output_ == LostOutput::fails) expect_all_written();
  warn(fmt::format("standard output cannot be written ({}); continuing", lost_because_));
}

void Terminal::expect_all_written() const {
  if (!lost_because_.empty())
    throw FileError(fmt::format("standard output could not be written ({}): output is lost", lost_because_));
}

void Terminal::info(const std::string& message) {
  clear_bar();
  log_->info(message);
}

void Terminal::warn(const std::string& message) {
  clear_bar();
  log_->warn(message);
}

void Terminal::mute() { log_->set_level(spdlog::level::off); }

int Terminal::columns() noexcept {
  winsize size = {};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void Terminal::show_bar(std::string bar) {
  if (!has_bar_) return;
  bar_ = std::move(bar);
  write_to_stderr(fmt::format("\r\033[K{}", bar_));
  bar_shown_ = true;
}

void Terminal::clear_bar() {
  if (!std::exchange(bar_shown_, false)) return;
  write_to_stderr("\r\033[K");
}

}  // namespace ane::cli
