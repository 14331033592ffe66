#include "joined_files.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checksum.h"
#include "ane/data/sources.h"

namespace ane::data {

namespace {

std::uint64_t content_checksum_of(const RegularFile& file) {
  constexpr std::size_t kPieces = 64;
  constexpr std::size_t kPieceBytes = 4096;
  if (file.size_bytes() <= kPieces * kPieceBytes) return checksum_of(file);
  std::array<std::byte, kPieceBytes> piece{};
  Checksum checksum;
  for (std::size_t i = 0; i < kPieces; ++i) {
    file.read((file.size_bytes() - kPieceBytes) * i / (kPieces - 1), piece);
    checksum.add(piece);
  }
  return checksum.value();
}

}  // namespace

JoinedFiles::JoinedFiles(std::vector<Part> parts) : parts_(std::move(parts)) {
  assert(!parts_.empty());
  for (Part& part : parts_) {
    part.start = size_bytes_;
    size_bytes_ += part.body_bytes;
  }
}

const JoinedFiles::Part& JoinedFiles::part_at(std::uint64_t offset) const noexcept {
  const auto after = std::upper_bound(parts_.begin(), parts_.end(), offset,
                                      [](std::uint64_t byte, const Part& part) { return byte < part.start; });
  return *std::prev(after);  // the last of those that start there: only it is not empty
}

void JoinedFiles::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const Part& part = part_at(offset);
    const std::uint64_t in_body = offset - part.start;
    const bool is_last = &part == &parts_.back();
    // If the range extends beyond the whole, the last file reports it.
    const std::size_t count =
        is_last ? bytes.size()
                : static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), part.body_bytes - in_body));
    part.file.read(part.begin + in_body, bytes.first(count));
    bytes = bytes.subspan(count);
    offset += count;
  }
}

JoinedFiles::Place JoinedFiles::place(std::uint64_t offset) const {
  const Part& part = part_at(offset);
  const std::uint64_t in_body = offset - part.start;
  return {.path = part.file.path().string(), .byte = part.begin + in_body, .body_byte = in_body};
}

std::string JoinedFiles::path() const { return name_of_files(parts_.front().file.path().string(), parts_.size()); }

std::string JoinedFiles::name() const {
  return name_of_files(parts_.front().file.path().filename().string(), parts_.size());
}

std::uint64_t JoinedFiles::content_checksum() const {
  if (parts_.size() == 1) return content_checksum_of(parts_.front().file);
  Checksum checksum;
  for (const Part& part : parts_) {
    const std::array<std::uint64_t, 2> of_file = {part.file.size_bytes(), content_checksum_of(part.file)};
    checksum.add(std::as_bytes(std::span(of_file)));
  }
  return checksum.value();
}

}  // namespace ane::data
