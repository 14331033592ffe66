#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include "app/program.h"
#include "data/small_tokenizer.h"
#include "support/catch.h"

namespace {

using namespace cli_test;

/// Words of "a", "b" and "ab", and a special token that is put before each text.
const char* const kLetterTokenizer = R"({
  "added_tokens": [{"id": 4, "content": "<s>", "special": true, "normalized": false}],
  "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed"},
  "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                     "special_tokens": {"<s>": {"ids": [4]}}},
  "decoder": {"type": "Fuse"},
  "model": {"type": "BPE", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}})";

Result tokenize(const Folder& folder, Words more) {
  more.insert(more.begin(), {"tokenize", "--tokenizer", "tokenizer.json"});
  return run(more, {}, folder.path());
}

}  // namespace

TEST_CASE("text becomes tokens and tokens become text", "[app][tokenize]") {
  const Folder folder;
  write_file(folder / "tokenizer.json", kLetterTokenizer);
  write_file(folder / "one.txt", "ab a");
  write_file(folder / "two.txt", "b\n");
  CHECK(tokenize(folder, {"one.txt", "two.txt", "--ids"}).out == "3 1 2 0\n");
  CHECK(tokenize(folder, {"--ids", "one.txt", "two.txt", "--special"}).out == "4 3 1 4 2 0\n");
  CHECK(tokenize(folder, {"--ids", "one.txt", "--no-special"}).out == "3 1\n");
  write_file(folder / "ids", "4 3\n1 2 0\n");
  CHECK(tokenize(folder, {"--decode", "ids"}).out == "<s>abab?");
  CHECK(tokenize(folder, {"--decode", "ids", "--no-special"}).out == "abab?");
}

TEST_CASE("a token file has a header with the vocabulary and the digest of the tokenizer", "[app][tokenize]") {
  const Folder folder;
  write_file(folder / "tokenizer.json", kLetterTokenizer);
  write_file(folder / "one.txt", "ab a");
  const Result result = tokenize(folder, {"one.txt", "--out", "one.bin"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, ANE_CONTAINS("one.bin: 2 tokens of a vocabulary of 5, 2.00 bytes of text per token"));
  const std::string file = read_file(folder / "one.bin");
  REQUIRE(file.size() == 64 + 2 * 2);
  CHECK(file.substr(20, 4) == std::string("\x05\0\0\0", 4));
  CHECK(file.substr(24, 8) != std::string(8, '\0'));
  CHECK(file.substr(32, 8) == std::string("\x02\0\0\0\0\0\0\0", 8));
  CHECK(file.substr(48, 8) == std::string("\x04\0\0\0\0\0\0\0", 8));  // bytes of text
  CHECK(file.substr(64) == std::string("\x03\0\x01\0", 4));
}

TEST_CASE("wrong input of tokenize gives one message", "[app][tokenize]") {
  const Folder folder;
  write_file(folder / "tokenizer.json", kLetterTokenizer);
  write_file(folder / "ids", "4 5");
  const auto refused = [&](const Words& more, int code, const std::string& message) {
    const Result result = tokenize(folder, more);
    CAPTURE(message, result.err);
    CHECK(result.code == code);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, ANE_CONTAINS(message));
  };
  refused({"ids"}, 2, "needs --out FILE.bin, --ids or --decode");
  refused({"--ids", "--decode", "ids"}, 2, "exclude each other");
  refused({"--decode", "ids", "--out", "x.bin"}, 2, "--out is only for tokens");
  refused({"--decode", "ids"}, 3, "ids: number 2 is '5', but the ids of the tokenizer are whole numbers below 5");
  refused({"missing.txt", "--ids"}, 3, "text 'missing.txt' does not exist");
  refused({"ids", "--out", "no/such/directory/x.bin"}, 3, "cannot be written");
  CHECK(run({"tokenize", "ids", "--ids"}, {}, folder.path()).code == 2);
  write_file(folder / "tokenizer.json", "{}");
  refused({"ids", "--ids"}, 3, "tokenizer.json: has no 'model'");
}

TEST_CASE("a signal stops tokenizing, which leaves nothing behind", "[app][tokenize]") {
  namespace fs = std::filesystem;
  const Folder folder;
  write_file(folder / "t.json", ane::test::small_tokenizer_json());
  std::string text;
  while (text.size() < (std::size_t{32} << 20U)) text += "some words of abab and cabs\n";
  write_file(folder / "x.txt", text);
  const auto files = [&] { return std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()); };
  const Words command = GENERATE(Words{"tokenize", "x.txt", "--tokenizer", "t.json", "--out", "x.bin"},
                                 Words{"--dim", "32", "--hidden", "64", "--layers", "1", "--heads", "2", "--tokenizer",
                                       "t.json", "--data", "x.txt", "--steps", "2", "--seq", "16"});
  Program program(command, {}, folder.path());
  while (files() == 2 && !program.has_ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  program.send(SIGTERM);
  const Result result = program.wait();
  CAPTURE(result.out, result.err);
  CHECK(result.code == 128 + SIGTERM);
  CHECK_THAT(result.err, ANE_CONTAINS("stopped by signal 15; nothing was written"));
  CHECK(files() == 2);
}
