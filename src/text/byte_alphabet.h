#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

/// The alphabet of byte-level BPE (GPT-2): each byte is represented by a printable character, most bytes by the
/// character with the same number, the others by the characters from U+0100 on.
namespace ane::text {

[[nodiscard]] std::string_view letter_of(unsigned char byte);
/// `bytes` in letters.
[[nodiscard]] std::string to_letters(std::string_view bytes);
/// The bytes that `letters` stands for; nullopt if it contains a character that is no letter.
[[nodiscard]] std::optional<std::string> from_letters(std::string_view letters);

}  // namespace ane::text
