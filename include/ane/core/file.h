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

/// What tells whether a file was changed while it was open.
struct FileIdentity {
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;  ///< since 1970
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// A regular file that is read in pieces. It is not mapped: if a mapped file is truncated, the next access kills the
/// process, while a failed read can be reported as an error. Move-only.
class RegularFile {
 public:
  /// Throws FileError if `path` is missing, unreadable or not a regular file; never waits for a pipe's writer. `what`
  /// names the file's role in messages ("token file", "model"), so that they say which setting is wrong.
  RegularFile(const std::filesystem::path& path, std::string_view what);
  /// The file behind an open descriptor, which messages call `name`.
  RegularFile(Descriptor descriptor, const std::filesystem::path& name, std::string_view what);

  /// Size when the file was opened.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The open descriptor, close-on-exec.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
  /// The identity of the file as it is now. Throws FileError.
  [[nodiscard]] FileIdentity identity() const;

  /// Fills `bytes` from the file, starting at byte `offset`. Thread-safe. Throws FileError if the file is too short,
  /// for example because it was truncated, or if the disk fails.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Reads the whole file. The caller must know that there is enough memory.
  [[nodiscard]] std::vector<std::byte> read_all() const;
  /// Another descriptor of the file, close-on-exec.
  [[nodiscard]] Descriptor duplicate() const;

 private:
  std::filesystem::path path_;
  std::string what_;
  Descriptor descriptor_;
  std::uint64_t size_bytes_ = 0;
};

/// Checksum of `file`, which is read in pieces. Throws FileError.
[[nodiscard]] std::uint64_t checksum_of(const RegularFile& file);

/// All of `file`. Throws FileError if it has more than `most_bytes`.
[[nodiscard]] std::string whole_text(const RegularFile& file, std::uint64_t most_bytes);

/// The whole of a text file, which may be empty or a pipe. Throws FileError if it is missing, unreadable, a directory
/// or larger than 256 MB.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path, std::string_view what);

/// A file in the directory for temporary files that has no name, so that nothing is left behind however the process
/// ends. Every member throws FileError with the system's message.
class NamelessFile {
 public:
  NamelessFile();
  void write(std::span<const std::byte> bytes);
  /// Its descriptor, close-on-exec. Ends writing.
  [[nodiscard]] Descriptor release() &&;

 private:
  std::filesystem::path path_;  ///< that it was created with, for messages
  Descriptor descriptor_;
};

/// Copies everything that can be read from `source` to a NamelessFile and returns its descriptor. Throws FileError;
/// `what` names the source.
[[nodiscard]] Descriptor spool(int source, std::string_view what);

/// Size and checksum of a file, to detect later changes.
struct FileDigest {
  std::uint64_t size_bytes = 0;
  std::uint64_t checksum = 0;
  friend bool operator==(const FileDigest&, const FileDigest&) = default;
};

/// A file that is written in pieces under a temporary name. commit() moves it into place; before that the old file
/// stays, and without commit() the temporary file is removed. Even after a power failure there is either the old or the
/// complete new file. A symbolic link in its place is replaced, not followed. Every member throws FileError with the
/// system's message.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& place);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Writes over the first bytes, as many as `bytes` has, which must have been written before. digest() does not
  /// reflect it.
  void replace_beginning(std::span<const std::byte> bytes);
  /// Digest of everything written so far.
  [[nodiscard]] FileDigest digest() const noexcept { return {size_bytes_, checksum_.value()}; }
  /// Whether `name` is a temporary name of a file for `place`.
  [[nodiscard]] static bool is_name_for(std::string_view place, std::string_view name);
  /// Syncs the file and renames it into place; sync_directory() makes the rename durable. Ends writing.
  void commit();

 private:
  std::filesystem::path place_;
  std::filesystem::path path_;  ///< empty after commit()
  Descriptor descriptor_;
  std::uint64_t size_bytes_ = 0;
  Checksum checksum_;
};

/// A directory that is filled under a temporary name. commit() moves it into place; without commit() it is removed with
/// everything in it. Every member throws FileError with the system's message.
class NewDirectory {
 public:
  explicit NewDirectory(const std::filesystem::path& place);
  ~NewDirectory();
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Renames the directory durably. Nothing but an empty directory may be in its place.
  void commit();

 private:
  std::filesystem::path place_;
  std::filesystem::path path_;  ///< empty after commit()
};

/// A directory for temporary files, with access only for this user, that is removed with everything in it.
class ScratchDirectory {
 public:
  /// Creates it in the system's directory for temporary files, with a name that begins with `prefix`. Throws FileError.
  explicit ScratchDirectory(std::string_view prefix);
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// Writes a whole file atomically and durably.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Creates `directory` and its missing parents durably. Throws FileError with the system's message.
void make_directories(const std::filesystem::path& directory);

/// Makes the entries of `directory` durable: files that were created, renamed or removed there stay so after a power
/// failure. Throws FileError with the system's message.
void sync_directory(const std::filesystem::path& directory);

/// Creates a directory PREFIX-XXXXXX with access only for this user in the system's directory for temporary files.
/// Throws FileError.
[[nodiscard]] std::filesystem::path make_temporary_directory(std::string_view prefix);

/// The same with exactly this name; the directory may exist already. Throws FileError, also if other users may access
/// or own it, or if it is a symbolic link.
[[nodiscard]] std::filesystem::path private_temporary_directory(std::string_view name);

/// Bytes that this user may still write on the disk of `path`; nullopt if the file system does not report it.
[[nodiscard]] std::optional<std::uint64_t> free_disk_bytes(const std::filesystem::path& path) noexcept;

}  // namespace ane
