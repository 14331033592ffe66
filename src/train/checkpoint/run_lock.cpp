#include "ane/train/run_lock.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/error.h"
#include "ane/core/file.h"

#include "checkpoint/checkpoint_names.h"

namespace ane::train {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, std::string_view reason) {
  throw FileError(fmt::format("{}: the directory could not be locked against other runs: {}", path.string(), reason));
}

[[noreturn]] void fail(const fs::path& path, int error) { fail(path, system_message(error)); }

/// The process ID in a lock file, which may be empty. Throws FileError if it contains anything else and is therefore
/// not ours.
std::string number_in(int file, const fs::path& path) {
  std::array<char, 21> text{};  // one more than the digits of any number
  const ssize_t size = ::pread(file, text.data(), text.size(), 0);
  if (size < 0) fail(path, errno);
  std::string number(text.data(), static_cast<std::size_t>(size));
  const bool is_number = std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!is_number || number.size() == text.size())
    fail(path,
         "the file does not belong to ane-train, because it contains something other than a process ID; name another "
         "directory");
  return number;
}

/// For other processes' messages; the lock does not depend on it.
void write_own_number(int file) {
  const std::string text = fmt::format("{}", ::getpid());
  if (::ftruncate(file, 0) == 0) static_cast<void>(::pwrite(file, text.data(), text.size(), 0) > 0);
}

Descriptor open_lock(const fs::path& path) {
  // O_NONBLOCK: a pipe must be refused below, not block.
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  if (!file && errno == ELOOP) fail(path, "it is a symbolic link; remove it, or name another directory");
  if (!file) fail(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(path, errno);
  if (!S_ISREG(status.st_mode)) fail(path, "it is not a regular file; remove it, or name another directory");
  return file;
}

/// Whether `path` still leads to the open `file`.
bool is_in_place(int file, const fs::path& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(file, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
         ours.st_ino == there.st_ino;
}

struct Attempt {
  Descriptor lock;     ///< empty if another process holds it
  std::string holder;  ///< the process that holds it
};

Attempt try_lock(const fs::path& directory) {
  constexpr int kMostAttempts = 100;
  constexpr auto kPause = std::chrono::milliseconds(1);
  make_directories(directory);
  const fs::path path = directory / kLockFile;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    Descriptor file = open_lock(path);
    const std::string number = number_in(file.get(), path);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail(path, errno);
      return {{}, number.empty() ? "another process" : fmt::format("process {}", number)};
    }
    if (is_in_place(file.get(), path)) {
      write_own_number(file.get());
      return {std::move(file), {}};
    }
    std::this_thread::sleep_for(kPause);  // the file was removed between our open and our lock
  }
  fail(path,
       fmt::format("after {} attempts the path still does not refer to the file that was opened: either the file is "
                   "replaced continually, or the file system has no stable inode numbers; name a directory on another "
                   "file system",
                   kMostAttempts));
}

}  // namespace

RunLock::RunLock(fs::path directory) : directory_(std::move(directory)) {
  Attempt attempt = try_lock(directory_);
  if (!attempt.lock)
    throw UsageError(fmt::format("{}: {} writes its checkpoints here; wait for it, or name another directory",
                                 directory_.string(), attempt.holder));
  file_ = std::move(attempt.lock);
}

RunLock::RunLock(fs::path directory, int descriptor) noexcept : directory_(std::move(directory)), file_(descriptor) {
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

void RunLock::keep() {
  if (is_in_place(file_.get(), directory_ / kLockFile)) return;
  Attempt attempt = try_lock(directory_);
  if (!attempt.lock)
    throw FileError(fmt::format("{}: the directory was removed or replaced, and now {} writes its checkpoints here",
                                directory_.string(), attempt.holder));
  file_ = std::move(attempt.lock);
}

}  // namespace ane::train
