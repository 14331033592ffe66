#include "ane/cli/work_bar.h"

#include <utility>

#include <fmt/format.h>

#include "ane/cli/lines.h"
#include "ane/cli/text.h"

namespace ane::cli {

std::string work_bar(const std::string& what, std::uint64_t done, std::uint64_t total, double seconds, int columns) {
  const double part = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  const double left = part > 0 ? seconds / part - seconds : 0;
  return bar_with(fmt::format(" {} {} of {} {} left", what, human_bytes(static_cast<double>(done)),
                              human_bytes(static_cast<double>(total)), clock_text(left)),
                  part, columns);
}

WorkBar::WorkBar(Terminal& terminal, std::string what) : terminal_(&terminal), what_(std::move(what)) {}

void WorkBar::draw(std::uint64_t done, std::uint64_t total) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_->has_bar() || now - drawn_ < kInterval) return;
  drawn_ = now;
  const std::chrono::duration<double> seconds = now - start_;
  terminal_->show_bar(work_bar(what_, done, total, seconds.count(), Terminal::columns()));
}

}  // namespace ane::cli
