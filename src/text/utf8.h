#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ane::text {

/// U+FFFD, which stands for bytes that are no character.
inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// A byte sequence at the beginning of a text: a character, or a maximal invalid sequence (Unicode 15, section 3.9).
struct Utf8Sequence {
  std::size_t bytes = 0;
  bool valid = false;
};
/// `text` must not be empty.
[[nodiscard]] Utf8Sequence first_sequence(std::string_view text) noexcept;

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
/// `text` with U+FFFD in place of each maximal invalid sequence.
[[nodiscard]] std::string to_utf8(std::string_view text);

/// Bytes of the character that begins with `lead`, in valid UTF-8.
[[nodiscard]] constexpr std::size_t char_bytes(char lead) noexcept {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}
/// The first character of `text`, which must be valid UTF-8 and not empty.
[[nodiscard]] constexpr std::string_view first_char(std::string_view text) noexcept {
  return text.substr(0, char_bytes(text.front()));
}
/// The last character of `text`, which must be valid UTF-8 and not empty.
[[nodiscard]] constexpr std::string_view last_char(std::string_view text) noexcept {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80) --begin;
  return text.substr(begin);
}
/// The code point of one character in valid UTF-8.
[[nodiscard]] std::uint32_t code_point(std::string_view character) noexcept;
void append_char(std::uint32_t code_point, std::string& text);

}  // namespace ane::text
