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
      {changed(good, 16, bytes_of(std::uint32_t{1})), "flags = 1"},
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
