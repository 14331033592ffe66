#include "ane/core/line_reader.h"

#include <algorithm>
#include <span>

namespace ane {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

}  // namespace

LineReader::LineReader(const RegularFile& file, std::size_t most_bytes) : file_(&file), most_bytes_(most_bytes) {}

std::optional<LineReader::Line> LineReader::next() {
  Line line{.text = {}, .number = number_ + 1, .offset = next_offset_};
  std::size_t end = buffer_.find('\n', begin_);
  while (end == std::string::npos) {
    if (buffer_.size() - begin_ > most_bytes_) {
      line.is_too_long = true;
      begin_ = buffer_.size();
    }
    const std::size_t kept = buffer_.size() - begin_;  // which fill() moves to the front
    if (!fill()) break;
    end = buffer_.find('\n', kept);
  }
  line.has_break = end != std::string::npos;
  end = std::min(end, buffer_.size());
  const std::uint64_t after = read_offset_ - (buffer_.size() - std::min(end + 1, buffer_.size()));
  if (after == next_offset_) return std::nullopt;
  line.text = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = std::min(end + 1, buffer_.size());
  next_offset_ = after;
  ++number_;
  if (line.text.ends_with('\r')) line.text.remove_suffix(1);
  if (line.number == 1 && line.text.starts_with(kByteOrderMark)) line.text.remove_prefix(kByteOrderMark.size());
  line.is_too_long = line.is_too_long || line.text.size() > most_bytes_;
  if (line.is_too_long) line.text = {};
  return line;
}

/// Moves the current line to the front of the buffer and reads on. Returns false at the end of the file.
bool LineReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, file_->size_bytes() - read_offset_));
  const std::size_t before = buffer_.size();
  buffer_.resize(before + count);
  file_->read(read_offset_, std::as_writable_bytes(std::span(buffer_).subspan(before)));
  read_offset_ += count;
  return count > 0;
}

}  // namespace ane
