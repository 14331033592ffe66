#include "ane/core/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_read_error(const fs::path& path, std::string_view what, int error) {
  const std::string name = path.string();
  switch (error) {
    case ENOENT:
      throw FileError(fmt::format("{} '{}' does not exist ({}); check the path", what, name, system_message(error)));
    case EACCES:
    case EPERM:
      throw FileError(fmt::format("{} '{}' is not readable ({}); check its permissions and those of its directories",
                                  what, name, system_message(error)));
    case EISDIR:
      throw FileError(fmt::format("{} '{}' is a directory, but a file is needed", what, name));
    default:
      throw FileError(fmt::format("{} '{}' cannot be read ({})", what, name, system_message(error)));
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
  throw FileError(fmt::format("'{}' cannot be written: {} ({})", path.string(), step, system_message(error)));
}

constexpr std::size_t kMostTextBytes = std::size_t{1} << 28U;  // a device may be endless
constexpr std::string_view kAsideSuffix = ".tmp-";             // followed by the process ID and the attempt number
constexpr int kNameAttempts = 100;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;  // checksummed and then written while in cache

void write_all(int descriptor, std::span<const std::byte> bytes, const fs::path& place) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_write_error(place, "writing failed; is the disk full?", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

fs::path temporary_directory() {
  std::error_code error;
  fs::path path = fs::temp_directory_path(error);
  if (error)
    throw FileError(fmt::format("there is no directory for temporary files ({}); set TMPDIR to one", error.message()));
  return path;
}

void sync_file(int descriptor, const fs::path& place) {
#ifdef F_FULLFSYNC  // macOS: fsync alone leaves the data in the drive's cache.
  if (::fcntl(descriptor, F_FULLFSYNC) == 0) return;
#endif
  if (::fsync(descriptor) != 0) throw_write_error(place, "its contents could not be synced", errno);
}

}  // namespace

RegularFile::RegularFile(const fs::path& path, std::string_view what) : path_(path), what_(what) {
  // O_NONBLOCK: opening a pipe must fail below, not wait for a writer.
  OpenFile file = open_for_reading(path, what, O_NONBLOCK);
  if (!S_ISREG(file.status.st_mode)) {
    throw FileError(fmt::format("{} '{}' is a pipe or a device, but a regular file is needed", what, path.string()));
  }
  descriptor_ = std::move(file.descriptor);
  size_bytes_ = static_cast<std::uint64_t>(file.status.st_size);
}

RegularFile::RegularFile(Descriptor descriptor, const fs::path& name, std::string_view what)
    : path_(name), what_(what), descriptor_(std::move(descriptor)) {
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) throw_read_error(path_, what_, errno);
  size_bytes_ = static_cast<std::uint64_t>(status.st_size);
}

FileIdentity RegularFile::identity() const {
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) throw_read_error(path_, what_, errno);
#ifdef __APPLE__
  const timespec& modified = status.st_mtimespec;
#else
  const timespec& modified = status.st_mtim;
#endif
  return {.size_bytes = static_cast<std::uint64_t>(status.st_size),
          .modified_ns = std::int64_t{modified.tv_sec} * 1'000'000'000 + modified.tv_nsec};
}

void RegularFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t found = ::pread(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (found < 0 && errno == EINTR) continue;
    if (found < 0) throw_read_error(path_, what_, errno);
    if (found == 0)
      throw FileError(
          fmt::format("{} '{}' ends at byte {}, but it had {} bytes when it was opened; a file must not be truncated "
                      "while it is read",
                      what_, path_.string(), offset, size_bytes_));
    bytes = bytes.subspan(static_cast<std::size_t>(found));
    offset += static_cast<std::uint64_t>(found);
  }
}

std::vector<std::byte> RegularFile::read_all() const {
  if (std::cmp_greater(size_bytes_, PTRDIFF_MAX)) throw_read_error(path_, what_, EFBIG);
  std::vector<std::byte> bytes(static_cast<std::size_t>(size_bytes_));
  read(0, bytes);
  return bytes;
}

Descriptor RegularFile::duplicate() const { return descriptor_.duplicate(); }

std::uint64_t checksum_of(const RegularFile& file) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, file.size_bytes())));
  Checksum checksum;
  for (std::uint64_t offset = 0; offset < file.size_bytes();) {
    const auto piece = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file.size_bytes() - offset)));
    file.read(offset, piece);
    checksum.add(piece);
    offset += piece.size();
  }
  return checksum.value();
}

std::string whole_text(const RegularFile& file, std::uint64_t most_bytes) {
  if (file.size_bytes() > most_bytes)
    throw FileError(fmt::format("{}: it has {} bytes, but at most {} are accepted", file.path().string(),
                                file.size_bytes(), most_bytes));
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return text;
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

NamelessFile::NamelessFile() {
  std::string path = (temporary_directory() / "ane-train-input-XXXXXX").string();
  descriptor_ = Descriptor(::mkstemp(path.data()));
  path_ = path;
  if (!descriptor_)
    throw_write_error(path_, "no temporary file could be created; does TMPDIR name a writable directory?", errno);
  ::unlink(path.c_str());
  ::fcntl(descriptor_.get(), F_SETFD, FD_CLOEXEC);
}

void NamelessFile::write(std::span<const std::byte> bytes) { write_all(descriptor_.get(), bytes, path_); }

Descriptor NamelessFile::release() && { return std::move(descriptor_); }

Descriptor spool(int source, std::string_view what) {
  NamelessFile file;
  std::vector<std::byte> buffer(kPieceBytes);
  while (true) {
    const ssize_t found = ::read(source, buffer.data(), buffer.size());
    if (found < 0 && errno == EINTR) continue;
    if (found < 0) throw FileError(fmt::format("{} cannot be read ({})", what, system_message(errno)));
    if (found == 0) return std::move(file).release();
    file.write(std::span(buffer).first(static_cast<std::size_t>(found)));
  }
}

TemporaryFile::TemporaryFile(const fs::path& place) : place_(place) {
  // Files left by a crashed process with our process ID must not stop us.
  for (int attempt = 0; !descriptor_; ++attempt) {
    path_ = place;
    path_ += fmt::format("{}{}-{}", kAsideSuffix, ::getpid(), attempt);
    descriptor_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!descriptor_ && (errno != EEXIST || attempt == kNameAttempts))
      throw_write_error(place_, fmt::format("no temporary file '{}' could be created", path_.string()), errno);
  }
}

TemporaryFile::~TemporaryFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

NewDirectory::NewDirectory(const fs::path& place) : place_(place) {
  for (int attempt = 0; path_.empty(); ++attempt) {
    fs::path path = place;
    path += fmt::format("{}{}-{}", kAsideSuffix, ::getpid(), attempt);
    if (::mkdir(path.c_str(), 0777) == 0) {
      path_ = std::move(path);
    } else if (errno != EEXIST || attempt == kNameAttempts) {
      throw_write_error(place_, fmt::format("no temporary directory '{}' could be created", path.string()), errno);
    }
  }
}

NewDirectory::~NewDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

void NewDirectory::commit() {
  sync_directory(path_);
  if (::rename(path_.c_str(), place_.c_str()) != 0)
    throw_write_error(place_, "the finished directory could not be renamed into place", errno);
  path_.clear();
  sync_directory(place_.parent_path());
}

bool TemporaryFile::is_name_for(std::string_view place, std::string_view name) {
  const auto skip = [&](std::string_view text) {
    const bool is_next = name.starts_with(text);
    if (is_next) name.remove_prefix(text.size());
    return is_next;
  };
  const auto skip_number = [&] {
    const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    name.remove_prefix(digits);
    return digits > 0;
  };
  return skip(place) && skip(kAsideSuffix) && skip_number() && skip("-") && skip_number() && name.empty();
}

void TemporaryFile::write(std::span<const std::byte> bytes) {
  size_bytes_ += bytes.size();
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    checksum_.add(piece);
    write_all(descriptor_.get(), piece, place_);
    bytes = bytes.subspan(piece.size());
  }
}

void TemporaryFile::replace_beginning(std::span<const std::byte> bytes) {
  if (::lseek(descriptor_.get(), 0, SEEK_SET) != 0)
    throw_write_error(place_, "its beginning could not be replaced", errno);
  write_all(descriptor_.get(), bytes, place_);
  if (::lseek(descriptor_.get(), 0, SEEK_END) < 0)
    throw_write_error(place_, "its beginning could not be replaced", errno);
}

void TemporaryFile::commit() {
  sync_file(descriptor_.get(), place_);
  if (::rename(path_.c_str(), place_.c_str()) != 0)
    throw_write_error(place_, "the finished file could not be renamed into place", errno);
  path_.clear();
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  TemporaryFile file(path);
  file.write(bytes);
  file.commit();
  sync_directory(path.parent_path());
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  if (directory.empty() || fs::is_directory(directory, error)) return;
  make_directories(directory.parent_path());
  if (::mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST)
    throw_write_error(directory, "the directory could not be created", errno);
  sync_directory(directory.parent_path());
}

void sync_directory(const fs::path& directory) {
  const fs::path path = directory.empty() ? fs::path(".") : directory;
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) throw_write_error(path, "the directory could not be opened", errno);
  // EINVAL: the file system does not support the operation, so there is nothing to wait for.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw_write_error(path, "the directory could not be synced", errno);
  }
}

fs::path make_temporary_directory(std::string_view prefix) {
  std::string path = (temporary_directory() / fmt::format("{}-XXXXXX", prefix)).string();
  if (::mkdtemp(path.data()) == nullptr)
    throw_write_error(path, "the directory could not be created; does TMPDIR name a writable one?", errno);
  return path;
}

ScratchDirectory::ScratchDirectory(std::string_view prefix) : path_(make_temporary_directory(prefix)) {}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path private_temporary_directory(std::string_view name) {
  fs::path path = temporary_directory() / name;
  if (::mkdir(path.c_str(), S_IRWXU) == 0) return path;
  if (errno != EEXIST) throw_write_error(path, "the directory could not be created", errno);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw_write_error(path, "its status could not be read", errno);
  const bool is_private = S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
                          (status.st_mode & static_cast<mode_t>(S_IRWXG | S_IRWXO)) == 0;
  if (!is_private) throw_write_error(path, "it already exists and is not a private directory of this user", EEXIST);
  return path;
}

std::optional<std::uint64_t> free_disk_bytes(const fs::path& path) noexcept {
  struct statvfs status {};
  // Some network file systems report nothing but zeros.
  if (::statvfs(path.c_str(), &status) != 0 || status.f_blocks == 0) return std::nullopt;
  const std::uint64_t block_bytes = status.f_frsize != 0 ? status.f_frsize : status.f_bsize;
  if (block_bytes == 0) return std::nullopt;
  return checked_mul<std::uint64_t>(status.f_bavail, block_bytes).value_or(UINT64_MAX);
}

}  // namespace ane
