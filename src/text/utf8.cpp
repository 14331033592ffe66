#include "utf8.h"

#include <algorithm>
#include <array>

#include <utf8proc.h>

namespace ane::text {
namespace {

/// Bounds of the second byte of a character; the later ones are from 0x80 to 0xBF.
struct SecondByte {
  unsigned char least = 0x80;
  unsigned char most = 0xBF;
};

SecondByte second_byte(unsigned char lead) noexcept {
  switch (lead) {
    case 0xE0:
      return {.least = 0xA0};  // not in fewer bytes
    case 0xED:
      return {.most = 0x9F};  // no surrogates
    case 0xF0:
      return {.least = 0x90};
    case 0xF4:
      return {.most = 0x8F};  // up to U+10FFFF
    default:
      return {};
  }
}

}  // namespace

Utf8Sequence first_sequence(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const std::size_t length = char_bytes(text.front());
  SecondByte bounds = second_byte(lead);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, false};
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < bounds.least || byte > bounds.most) return {i, false};
    bounds = {};
  }
  return {length, true};
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const Utf8Sequence sequence = first_sequence(text);
    if (!sequence.valid) return false;
    text.remove_prefix(sequence.bytes);
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const Utf8Sequence sequence = first_sequence(text);
    valid += sequence.valid ? text.substr(0, sequence.bytes) : kReplacement;
    text.remove_prefix(sequence.bytes);
  }
  return valid;
}

std::uint32_t code_point(std::string_view character) noexcept {
  utf8proc_int32_t found = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &found);
  return static_cast<std::uint32_t>(found);
}

void append_char(std::uint32_t code_point, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

}  // namespace ane::text
