#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ane/core/file.h"

namespace ane {

/// UTF-8's, with which some programs begin a text.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Reads the lines of a file one by one, with memory for the longest accepted line.
class LineReader {
 public:
  struct Line {
    std::string_view text;     ///< without line break and byte order mark; valid until next(); empty if too long
    std::uint64_t number = 0;  ///< counts from 1
    std::uint64_t offset = 0;  ///< of its first byte in the file
    bool is_too_long = false;
    bool has_break = false;  ///< every line but the last one of a file has
  };

  /// `file` must outlive the reader.
  LineReader(const RegularFile& file, std::size_t most_bytes);
  /// nullopt at the end. Throws FileError.
  [[nodiscard]] std::optional<Line> next();
  /// Bytes of the file up to the end of the last line.
  [[nodiscard]] std::uint64_t position() const noexcept { return next_offset_; }

 private:
  [[nodiscard]] bool fill();

  const RegularFile* file_;
  std::size_t most_bytes_;
  std::string buffer_;             ///< a piece of the file
  std::size_t begin_ = 0;          ///< of the next line in the buffer
  std::uint64_t read_offset_ = 0;  ///< of the first byte of the file that was not read
  std::uint64_t next_offset_ = 0;  ///< of the next line in the file
  std::uint64_t number_ = 0;
};

}  // namespace ane
