#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "app/program.h"
#include "support/catch.h"
#include "support/paths.h"

namespace {

using namespace cli_test;
namespace fs = std::filesystem;

/// All sources, in which adjacent string literals are one.
std::string sources() {
  std::string all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(ane::test::source_dir() / "src"))
    if (entry.path().extension() == ".cpp") all += read_file(entry.path().string());
  std::string joined;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] == '"') {
      const std::size_t next = all.find_first_not_of(" \n", i + 1);
      if (next != std::string::npos && all[next] == '"' && next > i + 1) {
        i = next;
        continue;
      }
    }
    joined += all[i];
  }
  return joined;
}

/// The fixed parts of the messages in the first column of the table.
std::vector<std::string> quoted_parts() {
  const std::string text = read_file((ane::test::source_dir() / "docs/troubleshooting.md").string());
  const std::string begin = "\n| `";
  std::vector<std::string> parts;
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
    const std::size_t first = at + begin.size();
    const std::string message = text.substr(first, text.find('`', first) - first);
    for (std::size_t from = 0; from < message.size();) {
      const std::size_t end = std::min(message.find("...", from), message.size());
      if (end > from) parts.push_back(message.substr(from, end - from));
      from = end + 3;
    }
  }
  return parts;
}

}  // namespace

TEST_CASE("every message of docs/troubleshooting.md exists", "[app][docs]") {
  const std::string all = sources();
  const std::vector<std::string> parts = quoted_parts();
  CHECK(parts.size() > 20);
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(all.find(part) != std::string::npos);
  }
}
