#include "regex.h"

#include <string>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"
#include "utf8.h"

namespace {

using namespace ane;
using text::from_oniguruma;
using text::Regex;

/// The matches of an expression, each followed by '|'.
std::string matches(const std::string& pattern, const std::string& text) {
  const Regex regex(from_oniguruma(pattern));
  std::string found;
  Regex::Search search(regex, text);
  while (const auto match = search.next()) found += text.substr(match->begin, match->end - match->begin) + "|";
  return found;
}

}  // namespace

TEST_CASE("an expression of Oniguruma means the same in PCRE2", "[text][regex]") {
  CHECK(matches("\\s", "a\u180e\u2003b") == "\u2003|");  // PCRE2's own \s takes U+180E for a space
  CHECK(matches("\\w+", "e\u0301 a_b \u00bd") == "e\u0301|a_b|\u00bd|");
  CHECK(matches("[\\w]+", "\u00bd x") == "x|");
  CHECK(matches("\\p{Han}+", "\u4e16\u3001") == "\u4e16|");  // PCRE2's own Han has shared punctuation
  CHECK(matches("\\p{^L}\\P{^L}", "1a") == "1a|");
  CHECK(matches("\\v|\\u00e9|\\x{1F600}|\\x41", "\u000b\u00e9\U0001F600A\n") == "\u000b|\u00e9|\U0001F600|A|");
  CHECK(matches("^a$", "a\na") == "a|a|");     // ^ and $ are the ends of lines
  CHECK(matches(".+", "a\r\nb") == "a\r|b|");  // only LF ends a line
  CHECK(matches("a{,2}b", "aab") == "aab|");
  CHECK(matches("(?i:'S)", "'s'\u017f") == "'s|'\u017f|");
}

TEST_CASE("empty matches are found once and between characters", "[text][regex]") {
  CHECK(matches("x*", "\u00e9x\u00e9") == "|x||");
}

TEST_CASE("an expression without an equivalent is refused by name", "[text][regex]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\\h", "\\h"},          {"\\b", "\\b"},           {"[a[b]]", "a class inside a class"},
      {"[a&&b]", "&&"},        {"(?<n>a)", "(?<"},       {"(?m:a)", "(?m"},
      {"a{2}+", "'+' after"},  {"a{2}?", "'?' after"},   {"{", "begins no interval"},
      {"\\", "its end"},       {"\\p{L", "\\p"},         {"\\p{L}|\\p{*}", "\\p{*}"},
      {"\\xFF", "\\x"},        {"(*UTF)", "(*"},         {"[]a]", "[]"},
      {"[\\A]", "in a class"}, {"(a", "cannot be used"}, {"\\p{Nonsense}", "unknown property"}};
  for (const auto& [pattern, message] : cases) {
    CAPTURE(pattern);
    CHECK_THROWS_AS(Regex(from_oniguruma(pattern)), FileError);
    CHECK_THROWS_WITH(Regex(from_oniguruma(pattern)), ANE_CONTAINS(message));
  }
}

TEST_CASE("a match that needs too many steps is an error", "[text][regex]") {
  CHECK_THROWS_WITH(matches("(a+)+$", std::string(50, 'a') + "b"), ANE_CONTAINS("limit"));
}

TEST_CASE("a long run is matched in linear time", "[text][regex]") {
  const std::string spaces(4U << 20U, ' ');
  CHECK(matches("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", spaces + "x").size() == spaces.size() + 2);
}

TEST_CASE("maximal invalid sequences are replaced", "[text][utf8]") {
  const std::string mark = "\xEF\xBF\xBD";
  // The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
  CHECK(text::to_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") ==
        mark + mark + mark + mark + mark + mark + mark + mark + "A");
  CHECK(text::to_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") ==
        mark + mark + mark + mark + mark + mark + mark + mark + "A");
  CHECK(text::to_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") ==
        mark + mark + mark + mark + mark + "A" + mark + mark + "B");
  CHECK(text::to_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == mark + mark + mark + mark + "A");
  CHECK(text::is_utf8("\u00e9\u4e16\U0001F600"));
  CHECK_FALSE(text::is_utf8("a\xE4\xB8"));
}
