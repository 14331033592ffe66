#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "ane/cli/settings.h"
#include "ane/core/file.h"

#include "support/catch.h"
#include "support/paths.h"

/// docs/settings.md lists the settings between two markers. Running this program with ANE_UPDATE_GOLDENS=1 rewrites the
/// list.
namespace {

using namespace ane;

const std::string kBegin = "<!-- The list of settings is generated from src/cli/settings/settings.cpp. -->\n";
const std::string kEnd = "<!-- End of the list. -->\n";

/// A vertical bar would end the cell of a table.
std::string escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string name_cell(const cli::Setting& row) {
  std::string cell = fmt::format("`{}{}{}`", row.flag(), row.placeholder.empty() ? "" : " ", row.placeholder);
  if (!row.negation.empty()) cell += fmt::format(", `{}`", row.negation);
  if (!row.environment.empty()) cell += fmt::format(", `{}`", row.environment);
  return escaped(cell);
}

std::string row_text(const cli::Setting& row) {
  const std::string value = row.name == "steps" ? "required" : row.show(cli::Settings{});
  const std::string expects = row.kind == cli::ValueKind::toggle ? "" : row.expects;
  return fmt::format("| {} | {} | {} | {} |\n", name_cell(row), escaped(row.help), escaped(expects),
                     escaped(value.empty() ? "none" : value));
}

std::string list_of_settings() {
  std::string text;
  std::string_view group;
  for (const cli::Setting& row : cli::settings_table()) {
    if (row.group != group)
      text += fmt::format("\n### {}\n\n| setting | meaning | value | default |\n|---|---|---|---|\n", row.group);
    group = row.group;
    text += row_text(row);
  }
  return text + "\n";
}

}  // namespace

TEST_CASE("docs/settings.md lists the settings of the table", "[cli][settings]") {
  const std::filesystem::path path = ane::test::source_dir() / "docs/settings.md";
  std::string page = ane::read_text_file(path, "page");
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  const std::size_t first = begin + kBegin.size();
  if (std::getenv("ANE_UPDATE_GOLDENS") != nullptr) {
    std::ofstream(path) << page.substr(0, first) + list_of_settings() + page.substr(end);
    page = ane::read_text_file(path, "page");
  }
  CHECK((page.substr(first, page.find(kEnd) - first) == list_of_settings()));
}
