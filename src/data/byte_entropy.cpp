#include "byte_entropy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ane::data {

double byte_entropy(const JoinedFiles& files) {
  constexpr std::uint64_t kPieceBytes = 65536;
  constexpr std::uint64_t kMostPieces = 512;
  const std::uint64_t size = files.size_bytes();
  const std::uint64_t pieces = std::min(size / kPieceBytes + (size % kPieceBytes != 0 ? 1 : 0), kMostPieces);
  const bool whole = size <= kPieceBytes * kMostPieces;
  std::array<std::uint64_t, 256> counts{};
  std::vector<std::byte> buffer(kPieceBytes);
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < pieces; ++i) {
    const std::uint64_t begin = whole ? i * kPieceBytes : (size - kPieceBytes) / (kMostPieces - 1) * i;
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min(kPieceBytes, size - begin)));
    files.read(begin, piece);
    for (const std::byte byte : piece) ++counts[std::to_integer<std::size_t>(byte)];
    total += piece.size();
  }
  double entropy = 0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const double part = static_cast<double>(count) / static_cast<double>(total);
    entropy -= part * std::log(part);
  }
  return entropy;
}

}  // namespace ane::data
