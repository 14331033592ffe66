#include "ane/cli/text.h"

#include <array>
#include <string>

#include "support/catch.h"

using namespace ane::cli;

TEST_CASE("numbers are parsed completely or not at all", "[cli][text]") {
  CHECK(parse_integer("-12") == -12);
  CHECK(parse_integer("9223372036854775807") == 9223372036854775807);
  for (const char* text : {"", " 1", "1 ", "+1", "0x10", "1.0", "1e3", "9223372036854775808", "one"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_integer(text));
  }
  CHECK(parse_real("1e-3") == 1e-3);
  CHECK(parse_real("-.5") == -.5);
  for (const char* text : {"", " 1", "1 ", "0x1p3", "nan", "inf", "1e", "1e999", "--1", "1.2.3"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_real(text));
  }
}

TEST_CASE("the nearest candidate is suggested only if it is near", "[cli][text]") {
  const std::array<std::string, 3> candidates = {"lr", "min_lr", "warmup"};
  CHECK(did_you_mean("warm_up", candidates) == "; did you mean warmup?");
  CHECK(did_you_mean("minlr", candidates) == "; did you mean min_lr?");
  CHECK(did_you_mean("checkpoint", candidates).empty());
  const std::array<std::string, 2> flags = {"--accum-steps", "--max-compiles"};
  CHECK(did_you_mean("--batch-size", flags) == "; did you mean --accum-steps?");
  const std::array<std::string, 2> variables = {"ANE_ACCUM_STEPS", "ANE_DEVICE"};
  CHECK(did_you_mean("ANE_BATCH_SIZE", variables) == "; did you mean ANE_ACCUM_STEPS?");
  CHECK(did_you_mean("--batch-size", candidates).empty());
}

TEST_CASE("a shell reads a quoted word back as one word", "[cli][text]") {
  CHECK(shell_quoted("--lr=1e-3") == "--lr=1e-3");
  CHECK(shell_quoted("two words") == "'two words'");
  CHECK(shell_quoted("it's") == "'it'\\''s'");
  CHECK(shell_quoted("") == "''");
  CHECK(shell_quoted("$HOME") == "'$HOME'");
}

TEST_CASE("a message says that a value is empty", "[cli][text]") {
  CHECK(wrong_value("x", "a number") == "'x' is not a number");
  CHECK(wrong_value("", "a number") == "the value is empty; expected a number");
}

TEST_CASE("times are printed for people", "[cli][text]") {
  CHECK(clock_text(0) == "0:00");
  CHECK(clock_text(72.4) == "1:12");
  CHECK(clock_text(3725) == "1:02:05");
  CHECK(clock_text(-1) == "?");
  CHECK(clock_text(1e9) == "?");
}

TEST_CASE("bytes are printed in a suitable unit", "[cli][text]") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(1500) == "1.5 KB");
  CHECK(human_bytes(2.34e9) == "2.3 GB");
}
