#include "ane/data/token_format.h"

#include <cstring>
#include <string>
#include <vector>

#include "ane/core/error.h"
#include "ane/data/sources.h"

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace ane::data;

namespace {

const std::vector<Token> kTokens = {5, 0, 99'999, 70'000, 1, 2, 3, 4};
constexpr std::uint32_t kVocab = 100'000;

std::string text_of(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = ane::RegularFile(path, "token file").read_all();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class Value>
std::string bytes_of(Value value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string changed(std::string text, std::size_t offset, const std::string& bytes) {
  return text.replace(offset, bytes.size(), bytes);
}

std::vector<Token> first_sample(const std::filesystem::path& path, std::size_t vocab_size) {
  Sample sample;
  open_token_file(path, {.seq_len = 7, .vocab_size = vocab_size, .order = Order::sequential})
      ->training_sample(0, sample);
  return sample.tokens;
}

}  // namespace

TEST_CASE("token files with a header hold 16-bit or 32-bit tokens, as the vocabulary requires", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  write_token_file(path, kTokens, kVocab, 0x1122334455667788);
  CHECK(text_of(path).size() == 64 + 8 * 4);
  CHECK(text_of(path).substr(0, 16) ==
        "\xff\xff"
        "ANETOK" +
            bytes_of(std::uint32_t{1}) + bytes_of(std::uint32_t{32}));
  const auto header = read_token_header(ane::RegularFile(path, "token file"));
  REQUIRE(header);
  CHECK(header->bits == 32);
  CHECK(header->vocab == kVocab);
  CHECK(header->tokenizer == 0x1122334455667788);
  CHECK(header->count == kTokens.size());
  CHECK(first_sample(path, kVocab) == kTokens);

  const std::vector<Token> narrow = {5, 0, 65'535, 7, 1, 2, 3, 4};
  write_token_file(path, narrow, 65'536, 0);
  CHECK(text_of(path).size() == 64 + 8 * 2);
  CHECK(first_sample(path, 65'536) == narrow);
}

TEST_CASE("a token file can be written in pieces", "[data]") {
  const TemporaryDirectory directory;
  for (const std::uint32_t vocab : {kVocab, 65'536U}) {
    const std::vector<Token> tokens(kTokens.size(), vocab - 1);
    write_token_file(directory.path() / "whole.bin", tokens, vocab, 7);
    TokenFileWriter file(directory.path() / "pieces.bin", vocab, 7);
    for (const Token& token : tokens) file.append({&token, 1});
    CHECK(file.count() == tokens.size());
    CHECK_FALSE(std::filesystem::exists(directory.path() / "pieces.bin"));
    file.commit();
    CHECK((text_of(directory.path() / "pieces.bin") == text_of(directory.path() / "whole.bin")));
    std::filesystem::remove(directory.path() / "pieces.bin");
  }
}

TEST_CASE("a plain file of uint16 tokens has no header", "[data]") {
  const TemporaryDirectory directory;
  CHECK_FALSE(read_token_header(
      ane::RegularFile(directory.write_tokens("t.bin", std::vector<std::uint16_t>(100, 7)), "token file")));
  CHECK_FALSE(read_token_header(ane::RegularFile(directory.write_tokens("s.bin", {1, 2}), "token file")));
}

TEST_CASE("an invalid header is refused with the field and its value", "[data][malformed]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  write_token_file(path, kTokens, kVocab, 0);
  const std::string good = text_of(path);
  const auto [bad, fault] = GENERATE_COPY(table<std::string, const char*>({
      {changed(good, 8, bytes_of(std::uint32_t{2})), "version = 2, but the supported value is 1"},
      {changed(good, 12, bytes_of(std::uint32_t{8})), "bits per token = 8, but the supported value is 16 or 32"},
      {changed(good, 16, bytes_of(std::uint32_t{4})), "flags = 4, but the supported value is 0 to 3"},
      {changed(good, 16, bytes_of(std::uint32_t{2})), "8 tokens of 4 bytes and a report, but 32 bytes follow"},
      {changed(good, 20, bytes_of(std::uint32_t{0})), "vocabulary = 0"},
      {changed(good, 32, bytes_of(std::uint64_t{9})), "9 tokens of 4 bytes, but 32 bytes follow"},
      {changed(good, 32, bytes_of(~std::uint64_t{0})), "18446744073709551615 tokens"},
      {good.substr(0, good.size() - 1), "8 tokens of 4 bytes, but 31 bytes follow; is the file truncated?"},
      {good.substr(0, 64), "8 tokens of 4 bytes, but 0 bytes follow"},
  }));
  CAPTURE(fault);
  static_cast<void>(directory.write("t.bin", bad));
  CHECK_THROWS_AS(first_sample(path, kVocab), ane::FileError);
  CHECK_THROWS_WITH(first_sample(path, kVocab), ANE_CONTAINS("t.bin") && ANE_CONTAINS(fault));
}

TEST_CASE("tokens of a larger vocabulary than the model's are refused", "[data][malformed]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  write_token_file(path, kTokens, kVocab, 0);
  CHECK_THROWS_AS(first_sample(path, kVocab - 1), ane::FileError);
  CHECK_THROWS_WITH(first_sample(path, kVocab - 1), ANE_CONTAINS("a vocabulary of 100000, but the model has 99999"));
  CHECK(first_sample(path, kVocab + 1) == kTokens);

  static_cast<void>(directory.write("t.bin", changed(text_of(path), 64 + 4, bytes_of(kVocab))));
  CHECK_THROWS_WITH(first_sample(path, kVocab), ANE_CONTAINS("token 1 at byte 68 is 100000, outside the vocabulary"));
}

TEST_CASE("a loss mask is the highest bit of each token", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  const auto write = [&](std::uint32_t vocab, const TokenFacts& facts = {}) {
    TokenFileWriter file(path, vocab, 0, Mask::present);
    file.append(std::vector<Token>{1, 2, 3}, std::vector<std::uint8_t>{1, 0, 1});
    file.append(std::vector<Token>{4, 5});
    file.append(std::vector<Token>{6, 7}, std::vector<std::uint8_t>{0, 0});
    file.commit(facts);
    return read_token_header(ane::RegularFile(path, "token file")).value();
  };
  const auto narrow = GENERATE(true, false);
  const std::uint32_t vocab = narrow ? 32'768 : 32'769;
  const TokenHeader header = write(vocab);
  CHECK(header.is_masked);
  CHECK(header.bits == (narrow ? 16 : 32));
  CHECK(header.count == 7);
  CHECK(text_of(path).substr(16, 4) == bytes_of(std::uint32_t{1}));
  CHECK((narrow ? text_of(path).substr(66, 2) == bytes_of(std::uint16_t{0x8002})
                : text_of(path).substr(68, 4) == bytes_of(std::uint32_t{0x8000'0002})));

  const auto source = open_token_file(path, {.seq_len = 6, .vocab_size = vocab, .order = Order::sequential});
  Sample sample;
  sample.loss_mask = {5};
  source->training_sample(0, sample);
  CHECK(sample.tokens == std::vector<Token>{1, 2, 3, 4, 5, 6, 7});
  CHECK(sample.loss_mask == std::vector<std::uint8_t>{0, 1, 1, 1, 0, 0});  // of the targets
}

TEST_CASE("tokens with a mask are checked against the vocabulary without it", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  const auto write = [&](Token last) {
    TokenFileWriter file(path, 100, 0, Mask::present);
    file.append(std::vector<Token>{1, 2, last}, std::vector<std::uint8_t>{0, 0, 0});
    file.commit();
  };
  write(9);
  CHECK_NOTHROW(open_token_file(path, {.seq_len = 2, .vocab_size = 100}));
  write(10);
  std::string bytes = text_of(path);
  bytes = changed(bytes, 20, bytes_of(std::uint32_t{10}));  // the vocabulary in the header
  static_cast<void>(directory.write("t.bin", bytes));
  CHECK_THROWS_WITH(open_token_file(path, {.seq_len = 2, .vocab_size = 10}), ANE_CONTAINS("token 2 at byte 68 is 10"));
}

TEST_CASE("a file of tokens says what is held out and how many bytes it stands for", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  const auto write = [&](const TokenFacts& facts) {
    TokenFileWriter file(path, 100, 5);
    file.append(std::vector<Token>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    file.commit(facts);
  };
  const auto open = [&](HeldOut held_out) {
    return open_token_file(path, {.seq_len = 3, .vocab_size = 100, .order = Order::sequential, .held_out = held_out});
  };
  write({.held_out = 4, .text_bytes = 10});
  const auto source = open(HeldOut::usual);
  CHECK(source->training_tokens() == 6U);
  REQUIRE(source->validation_count() == 1);
  Sample sample;
  source->validation_sample(0, sample);
  CHECK(sample.tokens == std::vector<Token>{6, 7, 8, 9});
  CHECK(sample.loss_mask.empty());
  CHECK(source->bytes_per_token() == 2.5);
  CHECK(open(HeldOut::all)->validation_count() == 3);
  CHECK_FALSE(open(HeldOut::all)->bytes_per_token());
  write({.held_out = 0, .text_bytes = 30});
  CHECK(open(HeldOut::all)->bytes_per_token() == 3.0);
  CHECK(open(HeldOut::usual)->validation_count() == 0);

  // Tokens that were made for the run are identified by their tokenizer too.
  CHECK_THAT(open(HeldOut::usual)->identity(), !ANE_CONTAINS("tokenizer="));
  write({.key = 1});
  CHECK_THAT(open(HeldOut::usual)->identity(), ANE_CONTAINS("10 tokens tokenizer=0000000000000005 content="));

  write({.held_out = 11});
  CHECK_THROWS_WITH(open(HeldOut::usual), ANE_CONTAINS("11 of 10 tokens are held out"));
  write({.held_out = 4});
  std::vector<ane::RegularFile> files;
  files.emplace_back(path, "data");
  files.emplace_back(path, "data");
  CHECK_THROWS_AS(open_token_files(std::move(files), {.seq_len = 3, .vocab_size = 100}), ane::UsageError);
}

TEST_CASE("a report follows the tokens and is no part of them", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "t.bin";
  const auto bits = GENERATE(16U, 32U);
  const std::uint32_t vocab = bits == 16 ? 100 : kVocab;
  const std::vector<Token> tokens = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  TokenFileWriter file(path, vocab, 0);
  file.append(tokens);
  file.commit({.held_out = 4}, "how it was made");
  CHECK(text_of(path).size() == 64 + 9 * (bits / 8) + 15 + 8);

  const auto source = open_token_file(path, {.seq_len = 3, .vocab_size = vocab, .order = Order::sequential});
  CHECK(source->training_tokens() == 5U);
  Sample sample;
  source->validation_sample(0, sample);
  CHECK(sample.tokens == std::vector<Token>{5, 6, 7, 8});

  const auto report = [&] {
    const ane::RegularFile opened(path, "token file");
    return read_report(opened, read_token_header(opened).value());
  };
  CHECK(report() == "how it was made");
  const std::string good = text_of(path);
  for (const std::size_t at : {std::size_t{20}, std::size_t{64}, good.size() - 9, good.size() - 1}) {
    static_cast<void>(directory.write("t.bin", changed(good, at, std::string(1, static_cast<char>(good[at] ^ 1)))));
    CHECK_FALSE(report());
  }
  write_token_file(path, tokens, vocab, 0);
  CHECK_FALSE(report());
}

TEST_CASE("files with a report can be joined", "[data]") {
  const TemporaryDirectory directory;
  std::vector<ane::RegularFile> files;
  for (const Token first : {Token{0}, Token{4}}) {
    const auto path = directory.path() / std::to_string(first);
    TokenFileWriter file(path, 100, 0);
    file.append(std::vector<Token>{first, first + 1, first + 2, first + 3});
    file.commit({}, "report");
    files.emplace_back(path, "data");
  }
  Sample sample;
  open_token_files(std::move(files), {.seq_len = 7, .vocab_size = 100, .order = Order::sequential})
      ->training_sample(0, sample);
  CHECK(sample.tokens == std::vector<Token>{0, 1, 2, 3, 4, 5, 6, 7});
}
