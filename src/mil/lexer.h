#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ane/mil/program.h"

namespace ane::mil {

enum class TokenKind : std::uint8_t { identifier, number, string, symbol, end };

/// Of a name.
[[nodiscard]] constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// A view into the text. `text` of a string is the part between its quotes, with escapes.
struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;
  SourceLocation where;

  [[nodiscard]] bool is(std::string_view symbol) const noexcept { return kind == TokenKind::symbol && text == symbol; }
};

/// For messages: "'conv'", "the end of the text".
[[nodiscard]] std::string to_string(const Token& token);

/// Splits MIL text into tokens. Copies are cheap and continue from the same position.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// Throws ParseError for a character that begins no token and for a string that does not end on its line.
  Token next();

 private:
  void skip_space() noexcept;
  [[nodiscard]] SourceLocation here() const noexcept;
  [[nodiscard]] char at(std::size_t offset) const noexcept {
    return position_ + offset < text_.size() ? text_[position_ + offset] : '\0';
  }
  Token take(TokenKind kind, std::size_t length);
  [[nodiscard]] std::size_t number_length() const noexcept;
  Token string();

  std::string_view text_;
  std::size_t position_ = 0;
  std::size_t line_start_ = 0;
  int line_ = 1;
};

}  // namespace ane::mil
