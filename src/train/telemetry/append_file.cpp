#include "ane/train/append_file.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane::train {

namespace {

constexpr std::size_t kLongestLine = 65536;

/// Size of a regular file; 0 for any other.
off_t size_of(int descriptor) noexcept {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

}  // namespace

AppendFile::AppendFile(std::filesystem::path path, std::string what, Warn warn, std::optional<int> handed_over)
    : path_(std::move(path)), what_(std::move(what)), warn_(std::move(warn)) {
  if (handed_over) {
    file_ = Descriptor(*handed_over);
    ::fcntl(*handed_over, F_SETFD, FD_CLOEXEC);
    return;
  }
  // O_NONBLOCK: a pipe without a reader must be an error, not block.
  file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666));
  if (!file_)
    throw FileError(fmt::format("{}: the {} file cannot be written: {}", path_.string(), what_,
                                errno == ENXIO ? "it is a pipe without a reader" : system_message(errno)));
  ::fcntl(file_.get(), F_SETFL, O_APPEND);  // later writes may block on a slow reader
}

void AppendFile::write(std::string_view text) {
  if (!file_) return;
  ssize_t written = 0;
  do {
    written = ::write(file_.get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(text.size())) return;
  const std::string reason = written < 0 ? system_message(errno) : "only part of a line could be written";
  file_ = Descriptor();
  warn_(fmt::format("{}: {}; the run continues without {}", path_.string(), reason, what_));
}

void AppendFile::empty() noexcept {
  if (size_of(file_.get()) > 0 && ::ftruncate(file_.get(), 0) != 0) file_ = Descriptor();
}

std::optional<int> AppendFile::descriptor() const noexcept { return file_ ? std::optional(file_.get()) : std::nullopt; }

void AppendFile::mend_end(std::string_view line_start) {
  const std::string line = unfinished_line();
  if (line.empty()) return;
  if (!line.starts_with(line_start.substr(0, line.size())))
    write("\n");
  else if (::ftruncate(file_.get(), size_of(file_.get()) - static_cast<off_t>(line.size())) != 0)
    file_ = Descriptor();
}

std::string AppendFile::unfinished_line() const {
  const off_t size = size_of(file_.get());
  if (size == 0) return {};
  const Descriptor reader(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string end(std::min<std::size_t>(kLongestLine, static_cast<std::size_t>(size)), '\0');
  if (!reader || ::pread(reader.get(), end.data(), end.size(), size - static_cast<off_t>(end.size())) < 0) return {};
  return end.substr(end.rfind('\n') + 1);
}

}  // namespace ane::train
