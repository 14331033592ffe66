#include "ane/core/checksum.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "support/bytes.h"
#include "support/catch.h"

namespace {

TEST_CASE("the checksum agrees with xxhsum", "[core]") {
  // xxhsum -H3
  CHECK(ane::checksum_of({}) == 0x2d06800538d394c2);
  CHECK(ane::checksum_of(bytes_of("abc")) == 0x78af5f94892f3950);
}

TEST_CASE("the checksum does not depend on how the bytes are split, and detects every change of a byte", "[core]") {
  std::vector<std::byte> bytes(3000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
  const std::uint64_t whole = ane::checksum_of(bytes);
  for (const std::size_t piece : {1U, 7U, 256U, 1000U, 5000U}) {
    CAPTURE(piece);
    ane::Checksum checksum;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      checksum.add(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    CHECK(checksum.value() == whole);
  }
  for (std::byte& byte : bytes) {
    const std::byte old = byte;
    byte ^= std::byte{1};
    CHECK(ane::checksum_of(bytes) != whole);
    byte = old;
  }
}

}  // namespace
