#include <filesystem>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/data/text_data.h"
#include "ane/data/token_format.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane::data;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names(const std::vector<TextInput>& inputs) {
  std::vector<std::string> result;
  for (const TextInput& input : inputs) result.push_back(input.path().filename().string());
  return result;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the kind of a file follows from its header and its name", "[data]") {
  const TemporaryDirectory directory;
  const auto kind = [&](const fs::path& path, Format format = Format::automatic) {
    return find_data(path.string(), format).kind;
  };
  CHECK(kind(directory.write("a.txt", "x")) == Kind::text);
  CHECK(kind(directory.write("a.jsonl", "x")) == Kind::records);
  CHECK(kind(directory.write("a.bin", "xx")) == Kind::tokens);
  CHECK(kind(directory.write("other", "x")) == Kind::text);
  const std::vector<Token> some = {1, 2, 3};
  write_token_file(directory.path() / "tokens.txt", some, 10, 0);
  CHECK(kind(directory.path() / "tokens.txt") == Kind::tokens);
  CHECK(kind(directory.path() / "other", Format::records) == Kind::records);
  CHECK(kind(directory.path() / "a.jsonl", Format::text) == Kind::text);
  CHECK(kind(directory.path() / "other", Format::tokens) == Kind::tokens);
}

TEST_CASE("a directory stands for its .txt files or for mlx-lm's layout", "[data]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path().string();
  CHECK_THROWS_WITH(find_data(path, Format::automatic), ANE_CONTAINS("neither train.jsonl nor a .txt file"));
  for (const char* name : {"b.txt", "a.txt", ".hidden.txt", "c.md"}) static_cast<void>(directory.write(name, "x"));
  DataFiles files = find_data(path, Format::automatic);
  CHECK(files.kind == Kind::text);
  CHECK(names(files.training) == Names{"a.txt", "b.txt"});
  CHECK(files.held_out.empty());
  CHECK(files.directory == directory.path());
  CHECK(files.name == directory.path().filename().string());
  CHECK(find_data(path + "/", Format::automatic).name == files.name);
  CHECK_THROWS_AS(find_data(path, Format::records), ane::FileError);
  CHECK_THROWS_AS(find_data(path, Format::tokens), ane::FileError);

  static_cast<void>(directory.write("train.jsonl", ""));
  files = find_data(path, Format::automatic);
  CHECK(files.kind == Kind::records);
  CHECK(names(files.training) == Names{"train.jsonl"});
  CHECK(files.held_out.empty());
  static_cast<void>(directory.write("valid.jsonl", ""));
  CHECK(names(find_data(path, Format::automatic).held_out) == Names{"valid.jsonl"});
  CHECK(names(find_data(path, Format::text).training) == Names{"a.txt", "b.txt"});
}

TEST_CASE("files of different kinds are refused", "[data]") {
  const TemporaryDirectory directory;
  const auto list = [&](const char* a, const char* b) {
    return directory.write(a, "xx").string() + "," + directory.write(b, "xx").string();
  };
  CHECK(find_data(list("a.txt", "b.txt"), Format::automatic).name == "a.txt and 1 more file");
  for (const auto& [a, b] :
       {std::pair("a.txt", "b.jsonl"), std::pair("a.jsonl", "b.bin"), std::pair("a.bin", "b.txt")}) {
    CHECK_THROWS_AS(find_data(list(a, b), Format::automatic), ane::UsageError);
    CHECK_THROWS_WITH(find_data(list(a, b), Format::automatic), ANE_CONTAINS("train on one kind of data"));
  }
}
