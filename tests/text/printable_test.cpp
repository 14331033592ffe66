#include "ane/text/printable.h"

#include <string>

#include "support/catch.h"

namespace ane::text {
namespace {

TEST_CASE("text for a terminal has no control characters and is valid UTF-8", "[text]") {
  const std::string replaced = "\xEF\xBF\xBD";
  CHECK(printable("").empty());
  CHECK(printable("two\nlines\tand \xC3\xA9 \xF0\x9F\x98\x80") == "two\nlines\tand \xC3\xA9 \xF0\x9F\x98\x80");
  CHECK(printable("\x1B[31mred\x07\r\x7F") == replaced + "[31mred" + replaced + replaced + replaced);
  CHECK(printable(std::string("\0", 1)) == replaced);
  CHECK(printable("\xC2\x9B") == replaced);    // U+009B, which some terminals read like ESC [
  CHECK(printable("\xC2\xA0") == "\xC2\xA0");  // U+00A0 is the first that is no control character
  CHECK(printable("a\xFF\xE2\x82z") == "a" + replaced + replaced + "z");
}

}  // namespace
}  // namespace ane::text
