#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/data/text_data.h"

#include "small_tokenizer.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane;
using namespace ane::data;
using namespace ane::test;
namespace fs = std::filesystem;

namespace {

TokenizeOptions some_options() {
  TokenizeOptions options;
  options.tokenizer = small_tokenizer();
  options.end_token = kEnd;
  return options;
}

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

struct Data {
  TemporaryDirectory directory;
  TemporaryDirectory caches;
  fs::path text = directory.write("a.txt", "some text with ab in it");
  TokenizeOptions options = some_options();

  [[nodiscard]] TokenizedData open() const {
    return open_tokenized(find_data(text.string(), Format::automatic), options, caches.path(), {});
  }
};

}  // namespace

TEST_CASE("tokens are kept beside the text and found again", "[data][cache]") {
  const Data data;
  const TokenizedData first = data.open();
  REQUIRE_FALSE(first.is_from_cache);
  CHECK(first.kept_at.parent_path() == data.directory.path());
  CHECK(first.report.tokens == 22);
  CHECK(files_in(data.directory.path()) == 2);
  CHECK(files_in(data.caches.path()) == 0);
  const TokenizedData again = data.open();
  CHECK(again.is_from_cache);
  CHECK(again.report == first.report);
  CHECK(again.kept_at == first.kept_at);
  CHECK(again.file.read_all() == first.file.read_all());
}

TEST_CASE("a cache of another text is replaced", "[data][cache]") {
  const Data data;
  const TokenizedData first = data.open();
  static_cast<void>(data.directory.write("a.txt", "some text with cd in it"));
  const TokenizedData second = data.open();
  REQUIRE_FALSE(second.is_from_cache);
  CHECK(second.kept_at == first.kept_at);
  CHECK(files_in(data.directory.path()) == 2);
  CHECK(second.file.read_all() != first.file.read_all());
  CHECK(data.open().is_from_cache);
}

TEST_CASE("each tokenizer and each choice of options has its cache", "[data][cache]") {
  Data data;
  const fs::path first = data.open().kept_at;
  data.options.tokenizer = small_tokenizer(kChatml);
  const TokenizedData other = data.open();
  CHECK_FALSE(other.is_from_cache);
  CHECK(other.kept_at != first);
  data.options.tokenizer = small_tokenizer();
  CHECK(data.open().is_from_cache);
  data.options.held_out = HeldOut::all;
  CHECK_FALSE(data.open().is_from_cache);
  data.options.end_token.reset();
  CHECK_FALSE(data.open().is_from_cache);
  CHECK(files_in(data.directory.path()) == 5);
}

TEST_CASE("a damaged cache is replaced", "[data][cache]") {
  const Data data;
  const fs::path path = data.open().kept_at;
  for (const std::uintmax_t size : {fs::file_size(path) - 2, std::uintmax_t{10}, std::uintmax_t{0}}) {
    fs::resize_file(path, size);
    CHECK_FALSE(data.open().is_from_cache);
    CHECK(data.open().is_from_cache);
  }
  fs::remove(path);
  fs::create_directory(path);  // somebody's directory of this name is not touched
  CHECK_THROWS_AS(data.open(), FileError);
  CHECK(fs::is_directory(path));
}

TEST_CASE("a cache with a changed byte is replaced", "[data][cache]") {
  Data data;
  data.text = data.directory.write("a.jsonl", R"({"text": "ab"})"
                                              "\n5\n");
  data.options.skip_bad_records = true;
  const TokenizedData first = data.open();
  REQUIRE(data.open().is_from_cache);
  const std::vector<std::byte> good = first.file.read_all();
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::vector<std::byte> bad = good;
    bad[at] ^= std::byte{1};
    CAPTURE(at);
    write_file_atomically(first.kept_at, bad);
    const TokenizedData again = data.open();
    CHECK_FALSE(again.is_from_cache);
    CHECK(again.report == first.report);
    CHECK(again.file.read_all() == good);
  }
}

TEST_CASE("a cache repeats what tokenizing reported, under the name by which the data are known now", "[data][cache]") {
  Data data;
  fs::create_directory(data.directory.path() / "mlx");
  const fs::path inside = data.directory.write("mlx/train.jsonl", R"({"text": "ab"})"
                                                                  "\n");
  static_cast<void>(data.directory.write("mlx/valid.jsonl", "\n{\"text\": \"ab\"}\n5\n6\n"));
  data.text = inside.parent_path();
  data.options.skip_bad_records = true;
  const TokenizedData first = data.open();
  REQUIRE_FALSE(first.is_from_cache);
  CHECK(first.report.skipped == 2);
  CHECK(first.report.held_out == 2);
  data.text = inside.parent_path() / ".." / "mlx";
  const TokenizedData again = data.open();
  REQUIRE(again.is_from_cache);
  CHECK(again.report == first.report);
  CHECK(describe_first_skipped(find_data(data.text.string(), Format::automatic), again.report) ==
        (data.text / "valid.jsonl").string() + ": line 3: it is not a JSON object");
}

TEST_CASE("where the text cannot be written, its tokens are kept in the cache directory, or nowhere", "[data][cache]") {
  const Data data;
  DataFiles files = find_data(data.text.string(), Format::automatic);
  files.directory = data.directory.path() / "missing";
  const fs::path caches = data.caches.path() / "new";
  const TokenizedData first = open_tokenized(files, data.options, caches, {});
  REQUIRE_FALSE(first.is_from_cache);
  CHECK(first.kept_at.parent_path() == caches);
  CHECK(open_tokenized(files, data.options, caches, {}).is_from_cache);
  // Files of the same name from other directories have their own.
  DataFiles others = files;
  others.directory = data.directory.path() / "missing too";
  CHECK_FALSE(open_tokenized(others, data.options, caches, {}).is_from_cache);
  CHECK(files_in(caches) == 2);
  for (const fs::path& no_directory : {fs::path(), data.text / "x"}) {
    const TokenizedData unnamed = open_tokenized(files, data.options, no_directory, {});
    CHECK_FALSE(unnamed.is_from_cache);
    CHECK(unnamed.kept_at.empty());
    CHECK(unnamed.file.read_all() == first.file.read_all());
  }
  CHECK(files_in(data.directory.path()) == 1);
}

TEST_CASE("data from standard input leave no file", "[data][cache]") {
  const Data data;
  const auto input = std::make_shared<const Descriptor>(RegularFile(data.text, "data").duplicate());
  const TokenizedData made =
      open_tokenized(data_from_standard_input(input, Format::automatic), data.options, data.caches.path(), {});
  CHECK_FALSE(made.is_from_cache);
  CHECK(made.kept_at.empty());
  CHECK(files_in(data.caches.path()) == 0);
  CHECK(made.file.size_bytes() == data.open().file.size_bytes());
}

TEST_CASE("an error leaves no file", "[data][cache]") {
  const Data data;
  static_cast<void>(data.directory.write("a.jsonl", "{\"text\": \"x\"}\n5\n"));
  CHECK_THROWS_AS(
      open_tokenized(find_data((data.directory.path() / "a.jsonl").string(), Format::automatic), data.options, {}, {}),
      FileError);
  CHECK(files_in(data.directory.path()) == 2);
}

TEST_CASE("what a killed process left is removed, what another one is writing is not", "[data][cache]") {
  const Data data;
  const std::string name = data.open().kept_at.filename().string();
  fs::remove(data.directory.path() / name);
  const fs::path old = data.directory.write(name + ".tmp-1234-0", "x");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  const fs::path young = data.directory.write(name + ".tmp-1235-0", "x");
  static_cast<void>(data.open());
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(young));
}
