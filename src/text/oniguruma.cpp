#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ane/core/error.h"

#include "regex.h"
#include "utf8.h"

namespace ane::text {
namespace {

/// Escapes with a letter and what they are in PCRE2, outside and inside a class.
struct Escape {
  char letter;
  std::string_view outside;
  std::string_view inside;
};
constexpr std::array kEscapes = {
    Escape{'s', R"(\p{White_Space})", R"(\p{White_Space})"},
    Escape{'S', R"(\P{White_Space})", R"(\P{White_Space})"},
    // Outside a class, Oniguruma also takes the fractions and superscripts of Latin-1 for parts of words.
    Escape{'w', R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}])",
           R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})"},
    Escape{'W', R"([^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}])", ""},
    Escape{'d', R"(\p{Nd})", R"(\p{Nd})"},
    Escape{'D', R"(\P{Nd})", R"(\P{Nd})"},
    Escape{'n', R"(\n)", R"(\n)"},
    Escape{'r', R"(\r)", R"(\r)"},
    Escape{'t', R"(\t)", R"(\t)"},
    Escape{'f', R"(\f)", R"(\f)"},
    Escape{'v', R"(\x{0B})", R"(\x{0B})"},
    Escape{'a', R"(\a)", R"(\a)"},
    Escape{'e', R"(\e)", R"(\e)"},
    Escape{'A', R"(\A)", ""},
    Escape{'z', R"(\z)", ""},
};

/// What may follow "(?" up to the first character that is not special.
constexpr std::array<std::string_view, 8> kGroups = {":", "=", "!", "<=", "<!", ">", "i:", "-i:"};

class Translation {
 public:
  explicit Translation(std::string_view pattern) : rest_(pattern) {}

  std::string run() {
    if (rest_.starts_with("(?i)")) copy(4);
    while (!rest_.empty()) {
      switch (rest_.front()) {
        case '\\':
          escape(false);
          break;
        case '[':
          character_class();
          break;
        case '(':
          group();
          break;
        case '{':
          interval();
          break;
        default:
          copy(char_bytes(rest_.front()));
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] static void refuse(std::string_view what) {
    throw FileError(fmt::format("a regular expression contains {}, which is not supported", what));
  }

  void copy(std::size_t bytes) {
    result_ += rest_.substr(0, bytes);
    rest_.remove_prefix(std::min(bytes, rest_.size()));
  }

  void escape(bool inside) {
    if (rest_.size() < 2) refuse("a backslash at its end");
    const char letter = rest_[1];
    const auto known =
        std::find_if(kEscapes.begin(), kEscapes.end(), [&](const Escape& each) { return each.letter == letter; });
    if (known != kEscapes.end()) {
      const std::string_view replacement = inside ? known->inside : known->outside;
      if (replacement.empty()) refuse(fmt::format("\\{} in a class", letter));
      result_ += replacement;
      rest_.remove_prefix(2);
    } else if (letter == 'p' || letter == 'P') {
      property();
    } else if (letter == 'x' || letter == 'u') {
      number();
    } else if (std::isalnum(static_cast<unsigned char>(letter)) != 0) {
      refuse(fmt::format("\\{}", letter));
    } else {
      copy(1 + char_bytes(letter));
    }
  }

  /// PCRE2 extends the name of a script to the characters that several scripts share; Oniguruma does not.
  void property() {
    const std::size_t end = rest_.find('}');
    if (rest_.size() < 4 || rest_[2] != '{' || end == std::string_view::npos) refuse("\\p without {NAME}");
    std::string_view name = rest_.substr(3, end - 3);
    bool negated = rest_[1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    });
    if (!is_name) refuse(fmt::format("\\p{{{}}}", name));
    const std::string script = fmt::format("sc:{}", name);
    result_ +=
        fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', name.size() > 2 && exists(script) ? script : std::string(name));
    rest_.remove_prefix(end + 1);
  }

  static bool exists(const std::string& property) try {
    static_cast<void>(Regex(fmt::format("\\p{{{}}}", property)));
    return true;
  } catch (const FileError&) {
    return false;
  }

  /// \x{H...}, \xHH and \uHHHH. Oniguruma reads \xHH as a byte, which is a character only up to 7F.
  void number() {
    const bool braces = rest_.size() > 2 && rest_[1] == 'x' && rest_[2] == '{';
    const std::size_t begin = braces ? 3 : 2;
    std::size_t end = begin;
    while (end < rest_.size() && std::isxdigit(static_cast<unsigned char>(rest_[end])) != 0 &&
           (braces || end - begin < (rest_[1] == 'x' ? 2U : 4U)))
      ++end;
    const std::string_view digits = rest_.substr(begin, end - begin);
    const bool complete = braces            ? end < rest_.size() && rest_[end] == '}' && !digits.empty()
                          : rest_[1] == 'x' ? digits.size() == 2 && digits < "80"
                                            : digits.size() == 4;
    if (!complete) refuse(fmt::format("\\{}{}", rest_[1], digits));
    result_ += fmt::format("\\x{{{}}}", digits);
    rest_.remove_prefix(end + (braces ? 1 : 0));
  }

  void character_class() {
    copy(1);
    if (rest_.starts_with('^')) copy(1);
    if (rest_.starts_with(']')) refuse("[] or [^]");
    while (!rest_.empty() && rest_.front() != ']') {
      if (rest_.front() == '[') refuse("a class inside a class");
      if (rest_.starts_with("&&")) refuse("&& in a class");
      if (rest_.front() == '\\') {
        escape(true);
      } else {
        copy(char_bytes(rest_.front()));
      }
    }
    copy(1);
  }

  void group() {
    if (rest_.starts_with("(*")) refuse("(*");
    if (!rest_.starts_with("(?")) return copy(1);
    for (const std::string_view kind : kGroups)
      if (rest_.substr(2).starts_with(kind)) return copy(2 + kind.size());
    refuse(fmt::format("(?{}", rest_.size() > 2 ? first_char(rest_.substr(2)) : ""));
  }

  /// {n}, {n,}, {,m} and {n,m}. Oniguruma repeats an interval that is followed by '+', instead of not backtracking.
  void interval() {
    const auto is_digit = [&](std::size_t at) {
      return at < rest_.size() && std::isdigit(static_cast<unsigned char>(rest_[at])) != 0;
    };
    std::size_t comma = 1;
    while (is_digit(comma)) ++comma;
    std::size_t end = comma;
    if (end < rest_.size() && rest_[end] == ',') ++end;
    while (is_digit(end)) ++end;
    if (end >= rest_.size() || rest_[end] != '}' || end < 2 || rest_.substr(0, end) == "{,")
      refuse("'{' that begins no interval");
    const bool has_comma = rest_[comma] == ',';
    const char next = end + 1 < rest_.size() ? rest_[end + 1] : '\0';
    if (next == '+' || (next == '?' && !has_comma)) refuse(fmt::format("'{}' after an interval", next));
    if (comma == 1) {
      result_ += "{0";
      rest_.remove_prefix(1);
      --end;
    }
    copy(end + 1);
  }

  std::string_view rest_;
  std::string result_;
};

}  // namespace

std::string from_oniguruma(std::string_view pattern) { return Translation(pattern).run(); }

}  // namespace ane::text
