#include <algorithm>
#include <numbers>
#include <numeric>
#include <set>

#include "ane/core/error.h"
#include "ane/data/sources.h"
#include "ane/data/token_format.h"

#include "support/catch.h"
#include "support/paths.h"
#include "support/temporary_directory.h"

using namespace ane::data;

namespace {

std::vector<std::uint16_t> counting(std::size_t count) {
  std::vector<std::uint16_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), std::uint16_t{0});
  return tokens;
}

std::vector<Token> range(std::size_t first, std::size_t count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), static_cast<Token>(first));
  return tokens;
}

std::vector<Token> training_tokens(const Source& source, std::uint64_t step) {
  Sample sample;
  source.training_sample(step, sample);
  return sample.tokens;
}

std::vector<Token> held_out_tokens(const Source& source, std::size_t index) {
  Sample sample;
  source.validation_sample(index, sample);
  return sample.tokens;
}

}  // namespace

TEST_CASE("in file order, step i reads tokens i*seq to i*seq+seq and starts again at the end", "[data]") {
  const TemporaryDirectory directory;
  const auto [count, sequences] =
      GENERATE(table<std::size_t, std::size_t>({{5, 1}, {8, 1}, {9, 2}, {41, 10}, {44, 10}}));
  CAPTURE(count, sequences);
  const auto source = open_token_file(directory.write_tokens("t.bin", counting(count)),
                                      {.seq_len = 4, .vocab_size = 100, .order = Order::sequential});
  for (std::size_t step = 0; step < 3 * sequences; ++step)
    CHECK(training_tokens(*source, step) == range(step % sequences * 4, 5));
  CHECK(source->validation_count() == 0);
}

TEST_CASE("in random order, every position of the file is drawn, including the last", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.write_tokens("t.bin", counting(20));
  const auto source = open_token_file(path, {.seq_len = 8, .vocab_size = 20, .seed = 3});
  std::set<Token> starts;
  for (std::uint64_t step = 0; step < 500; ++step) {
    const auto tokens = training_tokens(*source, step);
    CHECK(tokens == range(tokens.front(), 9));
    starts.insert(tokens.front());
  }
  CHECK(starts.size() == 12);
  CHECK(*starts.rbegin() == 11);
}

TEST_CASE("the sample of step i depends only on seed and i", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.write_tokens("t.bin", counting(5000));
  const TokenSettings settings{.seq_len = 16, .vocab_size = 5000, .seed = 3};
  const auto first = open_token_file(path, settings);
  const auto later = open_token_file(path, settings);
  TokenSettings reseeded = settings;
  reseeded.seed = 4;
  const auto other = open_token_file(path, reseeded);
  const auto expected = training_tokens(*first, 77);
  for (std::uint64_t step = 0; step < 5; ++step) (void)training_tokens(*first, step);
  CHECK(training_tokens(*later, 77) == expected);
  CHECK(training_tokens(*first, 77) == expected);
  CHECK(training_tokens(*first, 78) != expected);
  CHECK(training_tokens(*other, 77) != expected);
  CHECK(first->identity() != other->identity());
}

TEST_CASE("another text of the same name and size has another identity", "[data]") {
  const TemporaryDirectory directory;
  const std::size_t size = GENERATE(2000U, 262144U, 1000001U);
  const TokenSettings settings{.seq_len = 16, .vocab_size = 256, .seed = 3};
  std::string text(size, 'x');
  const auto identity = [&] { return open_token_file(directory.write("t.txt", text), settings)->identity(); };
  const std::string before = identity();
  CHECK(identity() == before);
  for (const std::size_t place : {std::size_t{0}, size - 1}) {
    text[place] = 'y';
    CHECK(identity() != before);
    text[place] = 'x';
  }
  text.assign(size, 'y');
  CHECK(identity() != before);
}

TEST_CASE("the last tenth of a text is held out, each sequence once", "[data]") {
  const TemporaryDirectory directory;
  std::string text(200, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i);
  const auto source = open_token_file(directory.write("t.txt", text), {.seq_len = 6, .vocab_size = 256, .seed = 1});
  REQUIRE(source->validation_count() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(held_out_tokens(*source, i) == range(180 + 6 * i, 7));
  for (std::uint64_t step = 0; step < 300; ++step) CHECK(training_tokens(*source, step).back() < 180);
  CHECK_THAT(source->description(),
             ANE_CONTAINS("180 bytes for training, 20 held out in 3 sequences, the last 1 unused"));
  CHECK_THROWS_AS(held_out_tokens(*source, 3), ane::Error);
}

TEST_CASE("the entropy of a text is that of its bytes", "[data]") {
  const TemporaryDirectory directory;
  const TokenSettings settings{.seq_len = 4, .vocab_size = 256, .seed = 1};
  // Half a's, a quarter b's and c's: 1.5 bits. Larger texts are sampled: the same bytes, in runs of 8192.
  const std::size_t repeats = GENERATE(1U, 25000U, 1200U);
  const std::size_t run_length = repeats == 1200 ? 8192 : 1;
  CAPTURE(repeats);
  std::string text;
  for (std::size_t i = 0; i < repeats; ++i)
    for (const char c : {'a', 'b', 'a', 'c'}) text.append(run_length, c);
  for (int i = 0; repeats == 1 && i < 5; ++i) text += "abac";
  const auto source = open_token_file(directory.write("t.txt", text), settings);
  REQUIRE(source->unigram_entropy());
  CHECK(*source->unigram_entropy() == Approx(1.5 * std::numbers::ln2).epsilon(repeats == 1200 ? 0.01 : 1e-9));
  CHECK(source->bytes_per_token() == 1.0);
  CHECK(source->training_tokens() == text.size() - (text.size() + 9) / 10);

  const auto tokens = open_token_file(directory.write_tokens("t.bin", counting(20)), settings);
  CHECK_FALSE(tokens->unigram_entropy());
  CHECK_FALSE(tokens->bytes_per_token());
  CHECK(tokens->training_tokens() == 20U);
  CHECK_FALSE(make_markov_source(settings)->training_tokens());
}

TEST_CASE("bytes are read unsigned and a short text has no validation", "[data]") {
  const TemporaryDirectory directory;
  const auto source =
      open_token_file(directory.write("t.txt", std::string(40, '\xff')), {.seq_len = 10, .vocab_size = 256});
  CHECK(training_tokens(*source, 0) == std::vector<Token>(11, 255));
  CHECK(source->validation_count() == 0);
  CHECK_THAT(source->description(), ANE_CONTAINS("no validation"));
}

TEST_CASE("Shakespeare is split as documented for the held-out loss", "[data]") {
  const std::filesystem::path path = ane::test::shared_dir() / "data/shakespeare.txt";
  if (!std::filesystem::exists(path)) {
    WARN("skipped: " << path << " is not there");
    return;
  }
  const auto source = open_token_file(path, {.seq_len = 64, .vocab_size = 256});
  CHECK_THAT(source->description(), ANE_CONTAINS("1003854 bytes for training, 111540 held out in 1742 sequences"));
}

TEST_CASE("unusable files are refused with the reason", "[data][malformed]") {
  const TemporaryDirectory directory;
  const TokenSettings settings{.seq_len = 4, .vocab_size = 10};
  const auto open = [&](const std::filesystem::path& path) { return open_token_file(path, settings); };
  using Catch::Matchers::Message;

  CHECK_THROWS_AS(open(directory.path() / "missing.bin"), ane::FileError);
  CHECK_THROWS_AS(open(directory.write("empty.bin", "")), ane::FileError);
  std::filesystem::create_directory(directory.path() / "folder.bin");
  CHECK_THROWS_AS(open(directory.path() / "folder.bin"), ane::FileError);

  const auto odd = directory.write("odd.bin", "12345678901");
  CHECK_THROWS_AS(open(odd), ane::FileError);
  CHECK_THROWS_WITH(open(odd), ANE_CONTAINS("11 bytes are not a whole number"));

  const auto tiny = directory.write_tokens("tiny.bin", counting(4));
  CHECK_THROWS_AS(open(tiny), ane::FileError);
  CHECK_THROWS_WITH(open(tiny), ANE_CONTAINS("4 tokens for training, but one sequence needs 5"));
  CHECK_THROWS_WITH(open(directory.write("tiny.txt", "12345")), ANE_CONTAINS("4 bytes for training"));

  const auto foreign = directory.write_tokens("foreign.bin", counting(30));
  CHECK_THROWS_AS(open(foreign), ane::FileError);
  CHECK_THROWS_WITH(open(foreign), ANE_CONTAINS("token 10 at byte 20 is 10, outside the vocabulary of 10"));

  CHECK_THROWS_WITH(open(directory.path() / "folder.bin"), ANE_CONTAINS("is a directory"));
}

TEST_CASE("the contents of a file decide what it is, and the format setting overrides them", "[data]") {
  const TemporaryDirectory directory;
  const auto described = [&](const std::filesystem::path& path, Format format) {
    return open_token_file(path, {.seq_len = 4, .vocab_size = 70000, .format = format})->description();
  };
  const std::string text(40, 'a');
  for (const char* name : {"text", "text.md", "text.txt", "text.jsonl"})
    CHECK_THAT(described(directory.write(name, text), Format::automatic), ANE_CONTAINS("36 bytes for training"));
  const auto plain = directory.write("plain.bin", text);
  CHECK_THAT(described(plain, Format::automatic), ANE_CONTAINS("plain.bin: 20 tokens"));
  CHECK_THAT(described(plain, Format::text), ANE_CONTAINS("36 bytes for training"));
  CHECK_THAT(described(directory.write("plain.dat", text), Format::tokens), ANE_CONTAINS("plain.dat: 20 tokens"));
  for (const char* name : {"tokens", "tokens.txt"}) {
    write_token_file(directory.path() / name, std::vector<Token>(30, 7), 70000, 0);
    CHECK_THAT(described(directory.path() / name, Format::automatic), ANE_CONTAINS(": 30 tokens"));
    CHECK_THAT(described(directory.path() / name, Format::text), ANE_CONTAINS("bytes for training"));
  }
}

TEST_CASE("a compressed file is refused with the command that unpacks it", "[data][malformed]") {
  const TemporaryDirectory directory;
  const TokenSettings settings{.seq_len = 4, .vocab_size = 256};
  const std::string rest(60, 'x');
  const auto [start, advice] = GENERATE(table<std::string, std::string>(
      {{std::string("\x1f\x8b\x08\0", 4), "compressed with gzip; unpack it first with gunzip, or"},
       {"\x28\xb5\x2f\xfd", "zstdcat FILE | ane-train --data - ..."},
       {"\xfd\x37zXZ", "compressed with xz"},
       {"BZh91AY&SY", "compressed with bzip2"},
       {"PK\x03\x04", "unpack it first with unzip"}}));
  CAPTURE(advice);
  for (const char* name : {"text.txt.gz", "text.txt"}) {
    const auto path = directory.write(name, start + rest);
    CHECK_THROWS_AS(open_token_file(path, settings), ane::FileError);
    CHECK_THROWS_WITH(open_token_file(path, settings), ANE_CONTAINS(name) && ANE_CONTAINS(advice));
  }
  TokenSettings tokens{.seq_len = 4, .vocab_size = 65536, .format = Format::tokens};
  CHECK_NOTHROW(open_token_file(directory.write("t.bin", start + rest + (start.size() % 2 != 0 ? "x" : "")), tokens));
  CHECK_NOTHROW(open_token_file(directory.write("t.txt", "x" + start + rest), settings));
}

TEST_CASE("several files are read as one", "[data]") {
  const TemporaryDirectory directory;
  const auto open = [&](const std::vector<std::string>& names, const TokenSettings& settings) {
    std::vector<ane::RegularFile> files;
    for (const std::string& name : names) files.emplace_back(directory.path() / name, "data");
    return open_token_files(std::move(files), settings);
  };
  const TokenSettings settings{.seq_len = 6, .vocab_size = 256, .order = Order::sequential};
  std::string text(200, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i);
  static_cast<void>(directory.write("whole.txt", text));
  static_cast<void>(directory.write("a.txt", text.substr(0, 7)));
  static_cast<void>(directory.write("b", text.substr(7, 90)));
  static_cast<void>(directory.write("empty", ""));
  static_cast<void>(directory.write("c.md", text.substr(97)));
  const auto whole = open({"whole.txt"}, settings);
  const auto joined = open({"a.txt", "b", "empty", "c.md"}, settings);
  for (std::uint64_t step = 0; step < 40; ++step)
    CHECK(training_tokens(*joined, step) == training_tokens(*whole, step));
  REQUIRE(joined->validation_count() == whole->validation_count());
  for (std::size_t i = 0; i < 3; ++i) CHECK(held_out_tokens(*joined, i) == held_out_tokens(*whole, i));
  CHECK_THAT(joined->description(), ANE_CONTAINS("a.txt and 3 more files: 180 bytes for training"));
  CHECK(joined->identity() != open({"a.txt", "c.md", "empty", "b"}, settings)->identity());

  write_token_file(directory.path() / "headed", range(0, 10), 100, 0);
  static_cast<void>(directory.write_tokens("plain.bin", counting(11)));
  const auto tokens = open({"headed", "plain.bin"}, settings);
  CHECK(training_tokens(*tokens, 1) == std::vector<Token>{6, 7, 8, 9, 0, 1, 2});
  CHECK_THROWS_AS(open({"headed", "a.txt"}, settings), ane::UsageError);
  CHECK_THROWS_WITH(open({"headed", "a.txt"}, settings),
                    ANE_CONTAINS("headed contains tokens of 16 bits, but") && ANE_CONTAINS("a.txt text"));
  const TokenSettings narrow{.seq_len = 6, .vocab_size = 11, .order = Order::sequential};
  static_cast<void>(directory.write_tokens("outside.bin", {1, 2, 3, 99}));
  write_token_file(directory.path() / "fits", range(0, 10), 11, 0);
  CHECK_THROWS_WITH(open({"fits", "outside.bin"}, narrow),
                    ANE_CONTAINS("outside.bin: token 3 at byte 6 is 99, outside the vocabulary"));
}

TEST_CASE("commas separate files unless they are part of a name", "[data]") {
  using Paths = std::vector<std::filesystem::path>;
  const TemporaryDirectory directory;
  const std::filesystem::path& here = directory.path();
  static_cast<void>(directory.write("a,b.txt", ""));
  static_cast<void>(directory.write("b.txt", ""));
  CHECK(files_in_list("x.txt") == Paths{"x.txt"});
  CHECK(files_in_list("x.txt,d/y") == Paths{"x.txt", "d/y"});
  CHECK(files_in_list("a,b.txt", here) == Paths{here / "a,b.txt"});
  CHECK(files_in_list("b.txt,a,b.txt,c", here) == Paths{here / "b.txt", here / "a,b.txt", here / "c"});
  CHECK(files_in_list("/a,b.txt", here) == Paths{"/a", here / "b.txt"});
  for (const char* list : {",", "a,", ",a", "a,,b"}) {
    CAPTURE(list);
    CHECK_THROWS_AS(files_in_list(list, here), ane::UsageError);
  }
  CHECK_THROWS_WITH(files_in_list("a" + std::string(4000000, ',')), ANE_CONTAINS("empty"));
  std::string many = "a";
  for (int i = 0; i < 100000; ++i) many += ",a";
  CHECK_THROWS_WITH(files_in_list(many, "/nowhere"), ANE_CONTAINS("more than 1000 files"));
}

TEST_CASE("a vocabulary of which few tokens occur causes a warning", "[data]") {
  const TemporaryDirectory directory;
  const auto warning = [&](const std::filesystem::path& path, std::size_t vocab, bool scan = true) {
    return open_token_file(path, {.seq_len = 4, .vocab_size = vocab, .scan = scan})->warning().value_or("");
  };
  const auto tokens = directory.write_tokens("t.bin", counting(90));
  CHECK(warning(tokens, 900).empty());
  CHECK(warning(tokens, 32000, false).empty());
  CHECK_THAT(warning(tokens, 1000), ANE_CONTAINS("only 90 of the 1000 tokens of the vocabulary occur in the data"));
  const auto text = directory.write("t.txt", std::string(100, 'a'));
  CHECK(warning(text, 256).empty());
  CHECK_THAT(warning(text, 32000), ANE_CONTAINS("256 values, but the vocabulary has 32000 tokens; --vocab 256"));
}

TEST_CASE("a token outside the vocabulary is detected at the latest when it is read", "[data][malformed]") {
  const TemporaryDirectory directory;
  const auto path = directory.write_tokens("t.bin", {1, 2, 3, 4, 5, 6, 7, 99, 8});
  const auto source =
      open_token_file(path, {.seq_len = 4, .vocab_size = 10, .order = Order::sequential, .scan = false});
  CHECK(training_tokens(*source, 0) == range(1, 5));
  CHECK_THROWS_AS(training_tokens(*source, 1), ane::FileError);
  CHECK_THROWS_WITH(training_tokens(*source, 1), ANE_CONTAINS("token 7 at byte 14 is 99"));
}

TEST_CASE("a vocabulary may cover the whole range of uint16", "[data]") {
  const TemporaryDirectory directory;
  const auto source = open_token_file(directory.write_tokens("t.bin", {65535, 0, 65535}),
                                      {.seq_len = 2, .vocab_size = 65536, .order = Order::sequential});
  CHECK(training_tokens(*source, 0) == std::vector<Token>{65535, 0, 65535});
}

TEST_CASE("everything can be held out, for an evaluation", "[data]") {
  const TemporaryDirectory directory;
  const HeldOut all = HeldOut::all;
  const auto tokens = open_token_file(directory.write_tokens("t.bin", counting(14)),
                                      {.seq_len = 4, .vocab_size = 100, .held_out = all});
  CHECK(tokens->validation_count() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(held_out_tokens(*tokens, i) == range(i * 4, 5));
  CHECK(tokens->description() == "t.bin: 14 tokens in 3 sequences, the last 1 unused");
  const auto text =
      open_token_file(directory.write("t.txt", "abcdefghij"), {.seq_len = 3, .vocab_size = 256, .held_out = all});
  CHECK(text->validation_count() == 3);
  CHECK(held_out_tokens(*text, 2) == range('g', 4));
  CHECK_THROWS_WITH(
      open_token_file(directory.write_tokens("s.bin", counting(4)), {.seq_len = 4, .vocab_size = 100, .held_out = all}),
      ANE_CONTAINS("4 tokens, but one sequence needs 5"));
}
