#include "ane/text/printable.h"

#include "utf8.h"

namespace ane::text {

namespace {

/// Whether a character is one of Unicode's category Cc: U+0000 to U+001F, and U+007F to U+009F.
bool is_control(std::string_view character) {
  const std::uint32_t code = code_point(character);
  return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Utf8Sequence sequence = first_sequence(text);
    const std::string_view character = text.substr(0, sequence.bytes);
    const bool is_shown = character == "\n" || character == "\t" || (sequence.valid && !is_control(character));
    result += is_shown ? character : kReplacement;
    text.remove_prefix(sequence.bytes);
  }
  return result;
}

}  // namespace ane::text
