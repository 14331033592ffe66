#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include "app/program.h"
#include "support/catch.h"
#include "support/paths.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

/// The flags in the help of a command.
std::set<std::string> flags_of(const Words& command) {
  Words words = command;
  words.emplace_back("--help");
  const Result result = run(words);
  REQUIRE(result.code == 0);
  static const std::regex flag("--[a-z][a-z0-9-]*");
  return {std::sregex_token_iterator(result.out.begin(), result.out.end(), flag), std::sregex_token_iterator()};
}

/// Whether `text` has this flag, and not only a longer one that begins with it.
bool names_flag(const std::string& text, const std::string& flag) {
  return std::regex_search(text, std::regex(flag + "(?![a-z0-9-])"));
}

}  // namespace

TEST_CASE("every flag of the help is documented", "[app][docs]") {
  const fs::path docs = ane::test::source_dir() / "docs";
  const std::string settings = read_file(docs / "settings.md");
  const std::set<std::string> flags = flags_of({});
  CHECK(flags.size() > 80);
  for (const std::string& flag : flags) {
    CAPTURE(flag);
    CHECK((flag == "--help" || names_flag(settings, flag)));
  }

  std::string all;
  for (const fs::directory_entry& page : fs::directory_iterator(docs))
    if (page.path().extension() == ".md") all += read_file(page.path());
  for (const char* command : {"doctor", "eval", "export", "mil", "plan", "report", "sample", "tokenize"})
    for (const std::string& flag : flags_of({command})) {
      CAPTURE(command, flag);
      CHECK((flag == "--help" || names_flag(all, flag)));
    }
}
