#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/core/checksum.h"
#include "ane/core/descriptor.h"

namespace ane {

/// A regular file that is read in pieces. It is not mapped: in a mapping of a file that somebody shortens, the next
/// access kills the process, while a read is an error that can be told. Move-only.
class RegularFile {
 public:
  /// Throws FileError if `path` is missing, unreadable, or no regular file; it never waits for a pipe's writer. `what`
  /// names the file's role in messages ("token file", "model"), so that they say which setting is wrong.
  RegularFile(const std::filesystem::path& path, std::string_view what);

  /// When it was opened.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// Fills `bytes` from byte `offset` of the file on. Several threads may read at once. Throws FileError if the file
  /// ends before, as it does when it has been shortened, and if the disk fails.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// All of it. Whoever calls knows that there is memory for it.
  [[nodiscard]] std::vector<std::byte> read_all() const;

 private:
  std::filesystem::path path_;
  std::string what_;
  Descriptor descriptor_;
  std::uint64_t size_bytes_ = 0;
};

/// Of all of `file`, which is read in pieces. Throws FileError.
[[nodiscard]] std::uint64_t checksum_of(const RegularFile& file);

/// The whole of a text file, which may be empty or a pipe. Throws FileError if it is missing, unreadable, a directory
/// or larger than 256 MB.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path, std::string_view what);

/// What a file holds, to tell later whether it still does.
struct FileDigest {
  std::uint64_t size_bytes = 0;
  std::uint64_t checksum = 0;
  friend bool operator==(const FileDigest&, const FileDigest&) = default;
};

/// A file written in pieces beside its place. Until commit() its place keeps the old file, and without it nothing
/// remains; so the place holds the old file or the whole new one, even after a power failure. A symbolic link in its
/// place is replaced, not followed. Every member throws FileError with the system's words.
class AsideFile {
 public:
  explicit AsideFile(const std::filesystem::path& place);
  ~AsideFile();
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Of what was written so far.
  [[nodiscard]] FileDigest digest() const noexcept { return {size_bytes_, checksum_.value()}; }
  /// Whether `name` is one that a file for the place `place` has until commit().
  [[nodiscard]] static bool is_name_for(std::string_view place, std::string_view name);
  /// Syncs and renames into place, which sync_directory() makes durable. Nothing may be written afterwards.
  void commit();

 private:
  std::filesystem::path place_;
  std::filesystem::path path_;  ///< empty once it is in place
  Descriptor descriptor_;
  std::uint64_t size_bytes_ = 0;
  Checksum checksum_;
};

/// Writes an AsideFile in one piece, durably.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Makes `directory` and those above it that are missing, durably. Throws FileError with the system's words.
void make_directories(const std::filesystem::path& directory);

/// Makes the names in `directory` durable: what was created, renamed or removed there stays so after a power failure.
/// Throws FileError with the system's words.
void sync_directory(const std::filesystem::path& directory);

/// A new directory PREFIX-XXXXXX that this user alone may enter, in the system's directory for temporary files. Throws
/// FileError.
[[nodiscard]] std::filesystem::path make_temporary_directory(std::string_view prefix);

/// The same for a directory with just this name, which may be there already. Throws FileError, also if it is there and
/// others may enter it or own it, or if it is a symbolic link.
[[nodiscard]] std::filesystem::path private_temporary_directory(std::string_view name);

/// What this user may still write on the disk of `path`; nothing if the file system does not say.
[[nodiscard]] std::optional<std::uint64_t> free_disk_bytes(const std::filesystem::path& path) noexcept;

}  // namespace ane
