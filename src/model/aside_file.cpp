#include "aside_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane::model {

namespace {

constexpr std::size_t kMaxWrite = std::size_t{1} << 30U;  // macOS refuses more than 2 GiB in one call

[[noreturn]] void fail(const char* action, const std::filesystem::path& path) {
  const std::string reason = std::generic_category().message(errno);
  throw FileError(fmt::format("cannot {} '{}': {}", action, path.string(), reason));
}

/// Makes the rename itself durable. Some file systems cannot sync a directory; the file is whole even so.
void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  static_cast<void>(::fsync(descriptor));
  ::close(descriptor);
}

}  // namespace

AsideFile::AsideFile(std::filesystem::path path) : path_(std::move(path)), aside_(path_) {
  aside_ += fmt::format(".{}.tmp", ::getpid());
  descriptor_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("create", aside_);
}

AsideFile::~AsideFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(aside_.c_str());
}

void AsideFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMaxWrite));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", aside_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AsideFile::commit() {
  if (::fsync(descriptor_) != 0) fail("sync", aside_);
  if (std::rename(aside_.c_str(), path_.c_str()) != 0) fail("rename to its place", aside_);
  ::close(std::exchange(descriptor_, -1));
  sync_directory(path_.parent_path());
}

}  // namespace ane::model
