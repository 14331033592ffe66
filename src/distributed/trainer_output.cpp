#include "trainer_output.h"

#include <array>
#include <cctype>
#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace ane::distributed {

namespace {

constexpr std::string_view kError = "ane-train: ";
constexpr std::string_view kTime = "00:00:00 ";
constexpr std::string_view kWarning = "warning ";

/// Whether a line begins as each message of cli::Terminal does.
bool has_time(std::string_view line) {
  if (line.size() < kTime.size()) return false;
  for (std::size_t i = 0; i < kTime.size(); ++i) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(line[i])) != 0;
    if (kTime[i] == '0' ? !is_digit : line[i] != kTime[i]) return false;
  }
  return true;
}

}  // namespace

TrainerOutput::TrainerOutput(Descriptor pipe) : pipe_(std::move(pipe)) {
  if (pipe_) ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
}

std::vector<std::string> TrainerOutput::read_warnings(std::string_view name) {
  if (!pipe_) return {};
  std::array<char, 4096> buffer{};
  ssize_t count = 0;
  while ((count = ::read(pipe_.get(), buffer.data(), buffer.size())) > 0) {
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    text_.append(bytes);
    for (const char byte : bytes)
      if (byte == '\n')
        take_line(std::exchange(line_, {}));
      else
        line_ += byte;
  }
  constexpr std::size_t kKept = 8192;
  if (text_.size() > kKept) text_.erase(0, text_.size() - kKept);
  if (count == 0) pipe_ = Descriptor();
  for (std::string& warning : warnings_) warning.insert(kTime.size() + kWarning.size(), fmt::format("{}: ", name));
  return std::exchange(warnings_, {});
}

/// A warning may have several lines, which are written at once.
void TrainerOutput::take_line(std::string line) {
  if (has_time(line)) {
    in_warning_ = std::string_view(line).substr(kTime.size()).starts_with(kWarning);
    if (in_warning_) warnings_.push_back(std::move(line));
  } else if (line.starts_with(kError)) {
    in_warning_ = false;
  } else if (in_warning_ && !warnings_.empty()) {
    warnings_.back().append("\n").append(line);
  }
}

std::string TrainerOutput::error() const {
  const std::size_t begin = text_.rfind(kError);
  if (begin == std::string::npos) return {};
  std::string message = text_.substr(begin + kError.size());
  while (message.ends_with('\n')) message.pop_back();
  return message;
}

}  // namespace ane::distributed
