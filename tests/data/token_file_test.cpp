#include <algorithm>
#include <numeric>
#include <set>

#include "ane/core/error.h"
#include "ane/data/sources.h"

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

  const auto other = directory.write("data.json", "[]");
  CHECK_THROWS_AS(open(other), ane::UsageError);
  CHECK_THROWS_WITH(open(other), ANE_CONTAINS(".bin") && ANE_CONTAINS(".txt") && ANE_CONTAINS("'.json'"));
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
