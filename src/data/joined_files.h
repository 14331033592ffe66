#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ane/core/file.h"

namespace ane::data {

/// Files that are read one after the other as if they were one. At least one.
class JoinedFiles {
 public:
  struct Part {
    RegularFile file;
    std::uint64_t begin = 0;       ///< bytes of the file's header, which is not part of its body
    std::uint64_t body_bytes = 0;  ///< what follows the body is not part of it either
    std::uint64_t start = 0;       ///< byte of the whole at which the body starts; set by JoinedFiles
  };
  explicit JoinedFiles(std::vector<Part> parts);

  /// Bytes of all bodies.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// Fills `bytes` from byte `offset` of the whole on. Thread-safe. Throws FileError like RegularFile::read().
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

  struct Place {
    std::string path;
    std::uint64_t byte = 0;       ///< of the file
    std::uint64_t body_byte = 0;  ///< of its body
  };
  /// Where byte `offset` of the whole is.
  [[nodiscard]] Place place(std::uint64_t offset) const;

  /// For messages: "data/a.txt and 2 more files".
  [[nodiscard]] std::string path() const;
  /// The same without directories.
  [[nodiscard]] std::string name() const;
  /// Covers all of a small file, and evenly spaced pieces of a large one, so that it is cheap enough for every restart.
  [[nodiscard]] std::uint64_t content_checksum() const;

 private:
  [[nodiscard]] const Part& part_at(std::uint64_t offset) const noexcept;

  std::vector<Part> parts_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace ane::data
