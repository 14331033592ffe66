#include "ane/core/environment.h"

#include <string>
#include <vector>

#include "support/catch.h"

namespace {

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a variable is found by its whole name", "[core][environment]") {
  const Words environment{"HOMES=/wrong", "HOME=/h", "EMPTY=", "HOME=/later"};
  CHECK(ane::find_variable(environment, "HOME") == "/h");
  CHECK(ane::find_variable(environment, "EMPTY") == "");
  CHECK_FALSE(ane::find_variable(environment, "HOM").has_value());
  CHECK_FALSE(ane::find_variable(Words{}, "HOME").has_value());
}

TEST_CASE("the directory for caches is the one that the environment names", "[core][environment]") {
  CHECK(ane::cache_directory(Words{"HOME=/h", "XDG_CACHE_HOME=/c"}) == "/c/ane-train");
#ifdef __APPLE__
  const std::string usual = "/h/Library/Caches/ane-train";
#else
  const std::string usual = "/h/.cache/ane-train";
#endif
  CHECK(ane::cache_directory(Words{"HOME=/h"}) == usual);
  CHECK(ane::cache_directory(Words{"HOME=/h", "XDG_CACHE_HOME=relative"}) == usual);
  CHECK_FALSE(ane::cache_directory(Words{"HOME=relative"}).has_value());
  CHECK_FALSE(ane::cache_directory(Words{}).has_value());
}
