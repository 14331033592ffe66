#include "ane/cli/terminal_features.h"

#include <map>
#include <string>

#include "support/catch.h"

using namespace ane;

namespace {

cli::TerminalFeatures features(std::map<std::string, std::string> variables) {
  return cli::terminal_features([&](const char* name) { return variables[name]; });
}

}  // namespace

TEST_CASE("NO_COLOR and dumb terminals have no colors", "[cli][terminal]") {
  CHECK(features({}).color);
  CHECK(features({{"TERM", "xterm"}, {"NO_COLOR", ""}}).color);
  CHECK_FALSE(features({{"TERM", "xterm"}, {"NO_COLOR", "0"}}).color);
  CHECK(features({{"NO_COLOR", "1"}}).erases);
  CHECK_FALSE(features({{"TERM", "dumb"}}).color);
  CHECK_FALSE(features({{"TERM", "dumb"}}).erases);
}

TEST_CASE("the first variable of the locale that is not empty says whether it is UTF-8", "[cli][terminal]") {
  CHECK_FALSE(features({}).has_utf8);
  CHECK(features({{"LANG", "de_DE.UTF-8"}}).has_utf8);
  CHECK(features({{"LANG", "C.utf8"}}).has_utf8);
  CHECK(features({{"LC_CTYPE", "UTF-8"}}).has_utf8);
  CHECK_FALSE(features({{"LANG", "de_DE.UTF-8"}, {"LC_ALL", "C"}}).has_utf8);
  CHECK_FALSE(features({{"LANG", "de_DE.UTF-8"}, {"LC_CTYPE", "POSIX"}}).has_utf8);
  CHECK(features({{"LANG", "C"}, {"LC_CTYPE", "POSIX"}, {"LC_ALL", "en_US.UTF-8"}}).has_utf8);
}
