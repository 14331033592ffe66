#include "ane/train/run_lock.h"

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "ane/core/error.h"
#include "ane/core/file.h"

namespace ane::train {

namespace {

constexpr const char* kLockFile = ".lock";

std::string holder(int file) {
  std::array<char, 16> text{};
  const ssize_t size = ::pread(file, text.data(), text.size(), 0);
  return size > 0 ? fmt::format("process {}", std::string(text.data(), static_cast<std::size_t>(size)))
                  : std::string("another process");
}

/// Whoever meets the lock reads it; the lock holds without.
void write_own_number(int file) {
  const std::string text = fmt::format("{}", ::getpid());
  if (::ftruncate(file, 0) == 0) static_cast<void>(::pwrite(file, text.data(), text.size(), 0) > 0);
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& directory) {
  make_directories(directory);
  const std::filesystem::path path = directory / kLockFile;
  const auto fail = [&](int error) {
    throw FileError(fmt::format("{}: the directory could not be locked against other runs: {}", path.string(),
                                std::generic_category().message(error)));
  };
  file_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file_) fail(errno);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail(errno);
    throw UsageError(fmt::format("{}: {} writes its checkpoints here; wait for it, or name another directory",
                                 directory.string(), holder(file_.get())));
  }
  write_own_number(file_.get());
}

RunLock::RunLock(int descriptor) noexcept : file_(descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

}  // namespace ane::train
