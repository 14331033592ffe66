#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

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

/// The whole of a text file, which may be empty or a pipe. Throws FileError as MappedFile does.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path, std::string_view what);

/// Writes `bytes` to a new file beside `path`, syncs it and renames it into place, so that `path` is either the old
/// file or the whole new one, even after a power failure. A symbolic link at `path` is replaced, not followed. Throws
/// FileError with the system's words, leaving nothing behind.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Makes the names in `directory` durable: what was created, renamed or removed there stays so after a power failure.
/// Throws FileError with the system's words.
void sync_directory(const std::filesystem::path& directory);

}  // namespace ane
