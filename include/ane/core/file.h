#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "ane/core/checksum.h"
#include "ane/core/descriptor.h"

namespace ane {

/// A file mapped read-only. Move-only; unmapped on destruction. The file must not be shortened meanwhile.
class MappedFile {
 public:
  /// Throws FileError if `path` is missing, a directory, unreadable or empty. `what` names the file's role in messages
  /// ("token file", "model"), so that they say which setting is wrong.
  MappedFile(const std::filesystem::path& path, std::string_view what);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// The whole of a text file, which may be empty or a pipe. Throws FileError as MappedFile does, and beyond 256 MB.
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

/// What this user may still write on the disk of `path`, which exists. Throws FileError.
[[nodiscard]] std::uint64_t free_disk_bytes(const std::filesystem::path& path);

}  // namespace ane
