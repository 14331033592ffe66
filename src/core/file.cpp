#include "ane/core/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane {
namespace {

namespace fs = std::filesystem;

std::string system_words(int error) { return std::generic_category().message(error); }

[[noreturn]] void throw_read_error(const fs::path& path, std::string_view what, int error) {
  const std::string name = path.string();
  switch (error) {
    case ENOENT:
      throw FileError(fmt::format("{} '{}' does not exist ({}); check the path", what, name, system_words(error)));
    case EACCES:
    case EPERM:
      throw FileError(fmt::format("{} '{}' may not be read ({}); check its permissions and those of its folders", what,
                                  name, system_words(error)));
    case EISDIR:
      throw FileError(fmt::format("{} '{}' is a directory, but a file is needed", what, name));
    default:
      throw FileError(fmt::format("{} '{}' cannot be read ({})", what, name, system_words(error)));
  }
}

struct OpenFile {
  Descriptor descriptor;
  struct stat status;
};

// `flags` are those of open(2).
OpenFile open_for_reading(const fs::path& path, std::string_view what, int flags) {
  OpenFile file{Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags)), {}};
  if (!file.descriptor) throw_read_error(path, what, errno);
  if (::fstat(file.descriptor.get(), &file.status) != 0) throw_read_error(path, what, errno);
  if (S_ISDIR(file.status.st_mode)) throw_read_error(path, what, EISDIR);
  return file;
}

[[noreturn]] void throw_write_error(const fs::path& path, std::string_view step, int error) {
  throw FileError(fmt::format("'{}' cannot be written: {} ({})", path.string(), step, system_words(error)));
}

constexpr std::size_t kMostTextBytes = std::size_t{1} << 28U;  // a device may have no end
constexpr int kNameAttempts = 100;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;  // summed and then written while the cache holds it

void write_all(int descriptor, std::span<const std::byte> bytes, const fs::path& place) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_write_error(place, "its contents were refused; is the disk full?", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_file(int descriptor, const fs::path& place) {
#ifdef F_FULLFSYNC  // macOS: fsync alone leaves the data in the drive's cache.
  if (::fcntl(descriptor, F_FULLFSYNC) == 0) return;
#endif
  if (::fsync(descriptor) != 0) throw_write_error(place, "its contents could not be synced", errno);
}

}  // namespace

MappedFile::MappedFile(const fs::path& path, std::string_view what) : path_(path) {
  // O_NONBLOCK: opening a pipe must fail below, not wait for a writer.
  const OpenFile file = open_for_reading(path, what, O_NONBLOCK);
  if (!S_ISREG(file.status.st_mode)) {
    throw FileError(fmt::format("{} '{}' is a pipe or a device, but a regular file is needed", what, path.string()));
  }
  if (file.status.st_size == 0) throw FileError(fmt::format("{} '{}' is empty", what, path.string()));
  if (std::cmp_greater(file.status.st_size, SIZE_MAX)) throw_read_error(path, what, EFBIG);
  const auto size = static_cast<std::size_t>(file.status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor.get(), 0);
  if (address == MAP_FAILED) throw_read_error(path, what, errno);
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::string read_text_file(const fs::path& path, std::string_view what) {
  const OpenFile file = open_for_reading(path, what, 0);
  std::string text;
  std::array<char, 1U << 16U> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
  while (true) {
    const ssize_t found = ::read(file.descriptor.get(), buffer.data(), buffer.size());
    if (found < 0 && errno == EINTR) continue;
    if (found < 0) throw_read_error(path, what, errno);
    if (found == 0) return text;
    if (text.size() >= kMostTextBytes) throw_read_error(path, what, EFBIG);
    text.append(buffer.data(), static_cast<std::size_t>(found));
  }
}

AsideFile::AsideFile(const fs::path& place) : place_(place) {
  // Names left by a crashed process with our number must not stop us.
  for (int attempt = 0; !descriptor_; ++attempt) {
    path_ = place;
    path_ += fmt::format(".tmp-{}-{}", ::getpid(), attempt);
    descriptor_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!descriptor_ && (errno != EEXIST || attempt == kNameAttempts))
      throw_write_error(place_, fmt::format("no new file '{}' can be made", path_.string()), errno);
  }
}

AsideFile::~AsideFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void AsideFile::write(std::span<const std::byte> bytes) {
  size_bytes_ += bytes.size();
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    checksum_.add(piece);
    write_all(descriptor_.get(), piece, place_);
    bytes = bytes.subspan(piece.size());
  }
}

void AsideFile::commit() {
  sync_file(descriptor_.get(), place_);
  if (::rename(path_.c_str(), place_.c_str()) != 0)
    throw_write_error(place_, "the finished file could not be renamed into place", errno);
  path_.clear();
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AsideFile file(path);
  file.write(bytes);
  file.commit();
  sync_directory(path.parent_path());
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  if (directory.empty() || fs::is_directory(directory, error)) return;
  make_directories(directory.parent_path());
  if (::mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST)
    throw_write_error(directory, "the directory could not be made", errno);
  sync_directory(directory.parent_path());
}

void sync_directory(const fs::path& directory) {
  const fs::path path = directory.empty() ? fs::path(".") : directory;
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) throw_write_error(path, "the directory could not be opened", errno);
  // EINVAL: a file system that has no such operation, and so nothing to wait for.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw_write_error(path, "the directory could not be synced", errno);
  }
}

std::uint64_t free_disk_bytes(const fs::path& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) throw_write_error(path, "its free space is not known", errno);
  return std::uint64_t{status.f_bavail} * std::uint64_t{status.f_frsize};
}

}  // namespace ane
