#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

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

TokenizeOptions options_with(const std::vector<std::string>& special = {}) {
  TokenizeOptions options;
  options.tokenizer = small_tokenizer(special);
  options.end_token = kEnd;
  return options;
}

/// A file of tokens as text: "ab" as '#', the end token as '|'; those before the held-out part, and that part.
struct Made {
  std::string training, held_out, counted;
  TokenHeader header;
  TokenizeReport report;
};

Made make(const std::string& data, const TokenizeOptions& options) {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "made";
  TokenFileWriter out(path, static_cast<std::uint32_t>(options.tokenizer->vocab_size()), 1,
                      options.mask_prompt ? Mask::present : Mask::none);
  Made made;
  made.report = tokenize(find_data(data, Format::automatic), options, 77, out, {});
  const RegularFile file(path, "tokens");
  made.header = read_token_header(file).value();
  std::vector<std::uint16_t> stored(made.header.count);
  file.read(kTokenHeaderBytes, std::as_writable_bytes(std::span(stored)));
  std::string text;
  for (const std::uint16_t token : stored) {
    const int id = token & 0x7FFF;
    made.counted += (token & 0x8000) == 0 ? '1' : '0';
    text += id == kAb ? '#' : id == kEnd ? '|' : static_cast<char>(id);
  }
  made.training = text.substr(0, text.size() - made.header.facts.held_out);
  made.held_out = text.substr(made.training.size());
  CHECK(made.report.tokens == made.header.count);
  CHECK(made.report.held_out == made.header.facts.held_out);
  CHECK(made.header.facts.key == 77);
  return made;
}

std::string text_record(const std::string& text) { return R"({"text": ")" + text + "\"}\n"; }

std::string refusal(const std::string& data, const TokenizeOptions& options) try {
  static_cast<void>(make(data, options));
  return "accepted";
} catch (const FileError& error) {
  return error.what();
}

}  // namespace

TEST_CASE("a text is cut where its last tenth begins, and both parts are encoded", "[data][records]") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a.txt", "01234567ababababab89").string();
  const Made made = make(path, options_with());
  CHECK(made.training == "01234567#####");  // 18 bytes
  CHECK(made.held_out == "89");
  CHECK(made.header.facts.text_bytes == 2);
  CHECK(made.report.documents == 1);
  CHECK(made.report.text_bytes == 20);

  TokenizeOptions all = options_with();
  all.held_out = HeldOut::all;
  const Made whole = make(path, all);
  CHECK(whole.training == "01234567#####89");
  CHECK(whole.header.facts.held_out == 0);
  CHECK(whole.header.facts.text_bytes == 20);
}

TEST_CASE("a cut does not divide a character, and a byte order mark is no text", "[data][records]") {
  const TemporaryDirectory directory;
  TokenizeOptions options = options_with();
  // Of 20 bytes, the last two are held out; the second of the character's three bytes is there.
  const Made made = make(directory.write("a.txt", "0123456789abcdefg\xE4\xB8\x96").string(), options);
  CHECK(made.training == "0123456789#cdefg");  // the tokenizer has no token for it
  CHECK(made.held_out.empty());
  options.held_out = HeldOut::all;
  CHECK(make(directory.write("b.txt", "\xEF\xBB\xBFx").string(), options).training == "x");
}

TEST_CASE("texts are joined by the end token", "[data][records]") {
  const TemporaryDirectory directory;
  static_cast<void>(directory.write("1.txt", "0123456789"));
  static_cast<void>(directory.write("2.txt", ""));
  static_cast<void>(directory.write("3.txt", "abcdefghi"));
  static_cast<void>(directory.write("4.txt", "k"));
  const Made made = make(directory.path().string(), options_with());
  CHECK(made.training == "0123456789|#cdefgh");  // 18 of 20 bytes
  CHECK(made.held_out == "i|k");
  CHECK(made.header.facts.text_bytes == 2);
  CHECK(made.report.documents == 3);
  TokenizeOptions without = options_with();
  without.end_token.reset();
  CHECK_THROWS_AS(make(directory.path().string(), without), UsageError);
  CHECK_THROWS_WITH(make(directory.path().string(), without), ANE_CONTAINS("3.txt") && ANE_CONTAINS("--end-token"));
  CHECK(make((directory.path() / "1.txt").string(), without).training == "012345678");
}

TEST_CASE("the records that begin in the last tenth are held out", "[data][records]") {
  const TemporaryDirectory directory;
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += text_record(fmt::format("{}", i));
  CHECK(make(directory.write("a.jsonl", lines).string(), options_with()).training == "0|1|2|3|4|5|6|7|8|");
  CHECK(make(directory.write("a.jsonl", lines).string(), options_with()).held_out == "9|");
  lines.insert(lines.find('9'), "9");  // the tenth is longer and begins before the last record
  CHECK(make(directory.write("a.jsonl", lines).string(), options_with()).held_out == "99|");
}

TEST_CASE("in mlx-lm's layout, valid.jsonl is held out", "[data][records]") {
  const TemporaryDirectory directory;
  static_cast<void>(directory.write("train.jsonl", text_record("ab") + "\n \r\n" + text_record("c")));
  const std::string data = directory.path().string();
  static_cast<void>(directory.write("valid.jsonl", R"({"text": "xyz"})"));
  Made made = make(data, options_with());
  CHECK(made.training == "#|c|");
  CHECK(made.held_out == "xyz|");
  CHECK(made.header.facts.text_bytes == 3);
  CHECK(made.report.documents == 3);
  static_cast<void>(directory.write("valid.jsonl", ""));
  CHECK(make(data, options_with()).held_out.empty());
}

TEST_CASE("masked records have a mask in the file", "[data][records]") {
  const TemporaryDirectory directory;
  TokenizeOptions options = options_with();
  options.mask_prompt = true;
  options.held_out = HeldOut::all;
  const std::string line = R"({"prompt": "xy", "completion": "z"})";
  const Made made = make(directory.write("a.jsonl", line + "\r\n" + line).string(), options);
  CHECK(made.training == "xyz|xyz|");
  CHECK(made.counted == "00110011");
  CHECK(made.header.is_masked);
  CHECK(made.header.facts.text_bytes == 0);
  CHECK(made.report.loss_tokens == 4);
  CHECK(made.report.text_bytes == 6);
  CHECK_THROWS_AS(make(directory.write("b.jsonl", text_record("x")).string(), options), UsageError);
  CHECK_THROWS_WITH(make(directory.write("b.jsonl", line + "\n" + text_record("x")).string(), options),
                    ANE_CONTAINS("b.jsonl: line 2: it is a text"));
  CHECK_THROWS_WITH(make(directory.write("a.txt", "x").string(), options), ANE_CONTAINS("it is a text"));
}

TEST_CASE("a bad record names its file and line, or is counted", "[data][records]") {
  const TemporaryDirectory directory;
  TokenizeOptions options = options_with();
  options.held_out = HeldOut::all;
  const std::string path =
      directory.write("a.jsonl", text_record("x") + "\n{\n" + text_record("y") + "{\"text\": 5}\n").string();
  CHECK_THAT(refusal(path, options), ANE_CONTAINS("a.jsonl: line 3: it is not valid JSON") &&
                                         ANE_CONTAINS("--skip-bad-records skips such records"));
  options.skip_bad_records = true;
  const Made made = make(path, options);
  CHECK(made.training == "x|y|");
  CHECK(made.report.skipped == 2);
  CHECK(made.report.documents == 2);
  CHECK_THAT(made.report.first_skipped, ANE_CONTAINS("line 3: it is not valid JSON"));
  CHECK_THAT(refusal(directory.write("b.jsonl", "{}\n5\n").string(), options),
             ANE_CONTAINS("b.jsonl: none of the 2 records is valid; the first error: ") && ANE_CONTAINS("line 1"));
  // Messages need another tokenizer, which has nothing to do with the record.
  const std::string chat = R"({"messages": [{"role": "user", "content": "x"}]})";
  CHECK_THROWS_AS(make(directory.write("c.jsonl", chat).string(), options), UsageError);
}

TEST_CASE("data without tokens are refused", "[data][records]") {
  const TemporaryDirectory directory;
  TokenizeOptions options = options_with();
  CHECK_THAT(refusal(directory.write("a.txt", "").string(), options), ANE_CONTAINS("a.txt: it contains no text"));
  CHECK_THAT(refusal(directory.write("a.jsonl", "\n\n").string(), options), ANE_CONTAINS("it contains no record"));
  CHECK_THAT(refusal(directory.write("a.jsonl", text_record("")).string(), options),
             ANE_CONTAINS("it contains no record"));
}

TEST_CASE("a record of more than 64 MB is refused without reading it into memory", "[data][records]") {
  const TemporaryDirectory directory;
  const fs::path path = directory.write("a.jsonl", "{\"text\": \"");
  REQUIRE(::truncate(path.c_str(), off_t{80} << 20U) == 0);  // the rest is zeros
  TokenizeOptions options = options_with();
  CHECK_THAT(refusal(path.string(), options), ANE_CONTAINS("a.jsonl: line 1: it is longer than 64 MB"));
}

TEST_CASE("progress is reported up to the end", "[data][records]") {
  const TemporaryDirectory directory;
  const TokenizeOptions options = options_with();
  std::string lines;
  while (lines.size() < (std::size_t{3} << 20U)) lines += text_record("some words of a text");
  for (const auto& [name, bytes] :
       {std::pair("a.jsonl", lines), std::pair("a.txt", std::string(std::size_t{3} << 20U, 'x'))}) {
    const std::size_t size = bytes.size();
    TokenFileWriter out(directory.path() / "made", 130, 1);
    std::vector<std::uint64_t> seen;
    static_cast<void>(tokenize(find_data(directory.write(name, bytes).string(), Format::automatic), options, 1, out,
                               [&](std::uint64_t done, std::uint64_t total) {
                                 CHECK(total == size);
                                 seen.push_back(done);
                               }));
    CHECK(std::ranges::is_sorted(seen));
    REQUIRE(seen.size() >= 3);
    CHECK(seen.back() == size);
  }
}

TEST_CASE("the key covers the content and everything that tokens depend on", "[data][records]") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a.txt", "some text").string();
  const auto key = [&](const TokenizeOptions& options, Format format = Format::automatic) {
    return key_of(find_data(path, format), options);
  };
  const TokenizeOptions options = options_with();
  std::vector<std::uint64_t> keys = {key(options), key(options, Format::records), key(options_with(kChatml))};
  CHECK(key(options_with()) == keys[0]);
  TokenizeOptions other = options;
  other.end_token.reset();
  keys.push_back(key(other));
  other = options;
  other.mask_prompt = true;
  keys.push_back(key(other));
  other = options;
  other.skip_bad_records = true;
  keys.push_back(key(other));
  other = options;
  other.held_out = HeldOut::all;
  keys.push_back(key(other));
  static_cast<void>(directory.write("a.txt", "some teXt"));
  keys.push_back(key(options));
  std::ranges::sort(keys);
  CHECK(std::ranges::adjacent_find(keys) == keys.end());
}
