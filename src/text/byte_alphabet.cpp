#include "byte_alphabet.h"

#include <cstddef>
#include <cstdint>

#include "utf8.h"

namespace ane::text {
namespace {

constexpr std::size_t kBytes = 256;
constexpr std::uint32_t kFirstOther = 0x100;
constexpr std::uint32_t kMostLetters = kFirstOther + kBytes;

struct Alphabet {
  std::array<std::string, kBytes> letters;
  std::array<int, kMostLetters> bytes;  ///< by code point; -1 if there is none

  Alphabet() {
    bytes.fill(-1);
    std::uint32_t other = kFirstOther;
    for (std::uint32_t byte = 0; byte < kBytes; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
      const std::uint32_t letter = printable ? byte : other++;
      append_char(letter, letters.at(byte));
      bytes.at(letter) = static_cast<int>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

}  // namespace

std::string_view letter_of(unsigned char byte) { return alphabet().letters.at(byte); }

std::string to_letters(std::string_view bytes) {
  std::string letters;
  for (const char byte : bytes) letters += letter_of(static_cast<unsigned char>(byte));
  return letters;
}

std::optional<std::string> from_letters(std::string_view letters) {
  std::string bytes;
  while (!letters.empty()) {
    const std::string_view letter = first_char(letters);
    const std::uint32_t point = code_point(letter);
    if (point >= kMostLetters || alphabet().bytes.at(point) < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().bytes.at(point));
    letters.remove_prefix(letter.size());
  }
  return bytes;
}

}  // namespace ane::text
