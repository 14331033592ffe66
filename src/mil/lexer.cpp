#include "lexer.h"

#include <fmt/format.h>

#include "ane/mil/text.h"

namespace ane::mil {
namespace {

bool is_sign(char c) noexcept { return c == '-' || c == '+'; }
/// Maximum length of a token in messages.
constexpr std::size_t kShown = 40;
constexpr std::string_view kSymbols = "()[]{}<>=,;?";

}  // namespace

std::string to_string(const Token& token) {
  if (token.kind == TokenKind::end) return "the end of the text";
  const std::string_view quote = token.kind == TokenKind::string ? "\"" : "'";
  const bool cut = token.text.size() > kShown;
  return fmt::format("{}{}{}{}", quote, token.text.substr(0, kShown), cut ? "..." : "", quote);
}

Token Lexer::next() {
  skip_space();
  if (position_ == text_.size()) return {TokenKind::end, {}, here()};
  const char c = at(0);
  if (is_letter(c)) {
    std::size_t length = 1;
    while (is_letter(at(length)) || is_digit(at(length))) ++length;
    return take(TokenKind::identifier, length);
  }
  if (c == '"') return string();
  if (c == '-' && at(1) == '>') return take(TokenKind::symbol, 2);
  if (is_digit(c) || c == '.' || is_sign(c)) return take(TokenKind::number, number_length());
  if (kSymbols.find(c) != std::string_view::npos) return take(TokenKind::symbol, 1);
  const auto byte = static_cast<unsigned char>(c);
  const bool printable = byte > 0x20 && byte < 0x7F;
  throw ParseError(
      here(), printable ? fmt::format("unexpected character '{}'", c) : fmt::format("unexpected byte 0x{:02x}", byte));
}

void Lexer::skip_space() noexcept {
  for (; position_ < text_.size(); ++position_) {
    const char c = text_[position_];
    if (c == '\n') {
      ++line_;
      line_start_ = position_ + 1;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') {
      return;
    }
  }
}

SourceLocation Lexer::here() const noexcept { return {line_, static_cast<int>(position_ - line_start_) + 1}; }

Token Lexer::take(TokenKind kind, std::size_t length) {
  const Token token{kind, text_.substr(position_, length), here()};
  position_ += length;
  return token;
}

/// Length of everything that could belong to a number, so that a malformed one is reported completely: signs only at
/// the front and after an exponent's letter.
std::size_t Lexer::number_length() const noexcept {
  const std::size_t sign = is_sign(at(0)) ? 1 : 0;
  const bool hexadecimal = at(sign) == '0' && (at(sign + 1) == 'x' || at(sign + 1) == 'X');
  const auto begins_exponent = [hexadecimal](char c) {
    return hexadecimal ? c == 'p' || c == 'P' : c == 'e' || c == 'E';
  };
  std::size_t length = sign;
  for (;; ++length) {
    const char c = at(length);
    const bool belongs =
        is_letter(c) || is_digit(c) || c == '.' || (is_sign(c) && length > sign && begins_exponent(at(length - 1)));
    if (!belongs) break;
  }
  return length;
}

Token Lexer::string() {
  std::size_t end = 1;
  while (at(end) != '"' && position_ + end < text_.size() && at(end) != '\n') end += at(end) == '\\' ? 2 : 1;
  if (position_ + end >= text_.size() || at(end) != '"')
    throw ParseError(here(), "this string has no closing quote on its line");
  Token token{TokenKind::string, text_.substr(position_ + 1, end - 1), here()};
  position_ += end + 1;
  return token;
}

}  // namespace ane::mil
