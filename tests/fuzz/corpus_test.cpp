#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "support/catch.h"
#include "support/paths.h"

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

const fuzz::Target& target(const fs::path& folder) {
  const auto* const found = std::find_if(std::begin(fuzz::kTargets), std::end(fuzz::kTargets),
                                         [&](const fuzz::Target& each) { return each.name == folder.filename(); });
  if (found == std::end(fuzz::kTargets)) throw std::runtime_error("no target for " + folder.string());
  return *found;
}

}  // namespace

TEST_CASE("every input of the corpus is accepted or refused as documented", "[fuzz]") {
  const std::vector<fs::path> folders = files_in(ane::test::source_dir() / "tests/fuzz/corpus");
  REQUIRE(folders.size() == std::size(fuzz::kTargets));
  for (const fs::path& folder : folders) {
    const std::vector<fs::path> files = files_in(folder);
    CHECK_FALSE(files.empty());
    for (const fs::path& file : files) {
      CAPTURE(file.string());
      const std::string bytes = read(file);
      CHECK_NOTHROW(target(folder).run(std::as_bytes(std::span(bytes))));
    }
  }
}

TEST_CASE("every truncation of a seed is accepted or refused as documented", "[fuzz]") {
  for (const fs::path& folder : files_in(ane::test::source_dir() / "tests/fuzz/corpus")) {
    for (const fs::path& file : files_in(folder)) {
      const std::string bytes = read(file);
      if (!file.filename().string().starts_with("seed") || bytes.size() > 600) continue;
      for (std::size_t length = 0; length < bytes.size(); ++length) {
        CAPTURE(file.string(), length);
        CHECK_NOTHROW(target(folder).run(std::as_bytes(std::span(bytes).first(length))));
      }
    }
  }
}
