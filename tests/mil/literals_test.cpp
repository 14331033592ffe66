#include "literals.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "support/catch.h"

namespace ane::mil {

TEST_CASE("floats print as short decimals if exact, else in hexadecimal", "[mil]") {
  CHECK(format_float(0.0F) == "0.0");
  CHECK(format_float(-0.0F) == "-0.0");
  CHECK(format_float(1.0F) == "1.0");
  CHECK(format_float(0.125F) == "0.125");
  CHECK(format_float(-10000.0F) == "-10000.0");
  CHECK(format_float(1e-5F) == "1e-05");
  // From ane.md, section 5: constants of kernels in fp16.
  CHECK(format_float(0x1.5p-17F) == "0x1.5p-17");
  CHECK(format_float(0x1.6ap-4F) == "0x1.6ap-4");
  CHECK(format_float(0x1.554p-10F) == "0x1.554p-10");
  CHECK(format_float(1.0F / 3.0F) == "0x1.555556p-2");
  CHECK(format_float(-0x1.fffffep+127F) == "-0x1.fffffep+127");
  CHECK(format_float(std::numeric_limits<float>::denorm_min()) == "1e-45");
  CHECK(format_float(0x1.8p-140F) == "0x1.8p-140");
  CHECK(format_float(std::numeric_limits<float>::infinity()) == "inf");
  CHECK(format_float(-std::numeric_limits<float>::infinity()) == "-inf");
}

TEST_CASE("any float reads back as itself", "[mil]") {
  std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same floats on every run
  for (int i = 0; i < 20000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    const auto back = parse_float(format_float(value));
    REQUIRE(back.has_value());
    if (std::isnan(value)) {
      REQUIRE(std::isnan(*back));
    } else {
      CAPTURE(format_float(value));
      REQUIRE(std::bit_cast<std::uint32_t>(*back) == std::bit_cast<std::uint32_t>(value));
    }
  }
}

TEST_CASE("numbers are parsed completely or not at all", "[mil]") {
  CHECK(parse_float("0x1p-3") == 0.125F);
  CHECK(parse_float("-1E+2") == -100.0F);
  CHECK(parse_float(".5") == 0.5F);
  CHECK(parse_float("-inf") == -std::numeric_limits<float>::infinity());
  for (const char* text : {"", "1.0f", "0x", "1e400", "-1e400", "1e", "--1", "1,5", "abc"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_float(text).has_value());
  }
  CHECK(parse_integer("-42") == -42);
  CHECK(parse_integer("+42") == 42);
  for (const char* text : {"", "+", "+-1", "1.0", "0x10", "9223372036854775808", "1 "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_integer(text).has_value());
  }
}

TEST_CASE("strings survive quoting", "[mil]") {
  const std::string text = "a\"b\\c\nd\te\rf'\xC3\xA9";
  const std::string quoted = quote(text);
  CHECK(quoted == "\"a\\\"b\\\\c\\nd\\te\\rf'\xC3\xA9\"");
  CHECK(unescape(quoted.substr(1, quoted.size() - 2)) == text);
  CHECK_FALSE(unescape("\\q").has_value());
  CHECK_FALSE(unescape("end\\").has_value());
}

}  // namespace ane::mil
