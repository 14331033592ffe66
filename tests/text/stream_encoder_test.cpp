#include "ane/text/stream_encoder.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/paths.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"
#include "text/small_tokenizers.h"

namespace {

using namespace ane;
using text::SpecialTokens;
using text::StreamEncoder;
using text::TokenId;
using text::Tokenizer;

/// The texts of the small tokenizers in random order, with what joins them.
std::string mixed_text(std::size_t bytes) {
  std::mt19937 random(7);
  const std::vector<std::string> joints = {" ", "\n", "\n\n", "  ", "", " the "};
  const nlohmann::json& texts = test::small_tokenizers().at("texts");
  std::string text;
  while (text.size() < bytes)
    text += texts.at(random() % texts.size()).get<std::string>() + joints.at(random() % joints.size());
  return text;
}

/// In pieces of random length, which may end within a character.
std::vector<TokenId> encode_in_pieces(const Tokenizer& tokenizer, const std::string& text, std::size_t& largest) {
  std::mt19937 random(11);
  StreamEncoder encoder(tokenizer, SpecialTokens::include, 4096);
  std::vector<TokenId> ids;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = std::min<std::size_t>(1 + random() % 3000, text.size() - at);
    const std::size_t before = ids.size();
    encoder.append(std::string_view(text).substr(at, length), ids);
    largest = std::max(largest, ids.size() - before);
    at += length;
  }
  encoder.finish(ids);
  return ids;
}

}  // namespace

TEST_CASE("a text in pieces has the tokens of the whole text", "[text][stream]") {
  const std::string text = mixed_text(60000);
  const TemporaryDirectory directory;
  const nlohmann::json rows = test::small_tokenizers().at("tokenizers");
  for (std::size_t i = 0; i < rows.size(); i += kSanitized ? 6 : 1) {
    const nlohmann::json& row = rows[i];
    const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", test::file_of(row).dump()));
    CAPTURE(row.at("name").get<std::string>());
    std::size_t largest = 0;
    const bool equal = encode_in_pieces(*tokenizer, text, largest) == tokenizer->encode(text, SpecialTokens::include);
    CHECK(equal);
    // Its normalizer puts a letter before every text, so that no text can be cut.
    CHECK((largest == 0) == (row.at("name") == "replaced by an expression"));
  }
}

TEST_CASE("a SentencePiece model reads a text in pieces", "[text][stream]") {
  std::string text = mixed_text(60000);
  for (const char* seed : {"seed-bpe", "seed-unigram"}) {
    CAPTURE(seed);
    std::ifstream file(test::source_dir() / "tests/fuzz/corpus/tokenizer_binary" / seed, std::ios::binary);
    file.get();  // which format
    const std::string model(std::istreambuf_iterator<char>(file), {});
    const TemporaryDirectory directory;
    const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.model", model));
    std::size_t largest = 0;
    const bool equal = encode_in_pieces(*tokenizer, text, largest) == tokenizer->encode(text, SpecialTokens::include);
    CHECK(equal);
    CHECK(largest < 10000);
  }
}

TEST_CASE("a text that cannot be cut is encoded at its end", "[text][stream]") {
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(
      directory.write("tokenizer.json", R"({"model": {"vocab": {"a": 0, "aa": 1}, "merges": ["a a"]}})"));
  StreamEncoder encoder(*tokenizer, SpecialTokens::omit, 4096);
  std::vector<TokenId> ids;
  for (int i = 0; i < 100; ++i) encoder.append(std::string(999, 'a'), ids);
  CHECK(ids.empty());
  encoder.finish(ids);
  CHECK(ids == std::vector<TokenId>(99900 / 2, 1));
  encoder.append("a", ids);
  encoder.finish(ids);
  CHECK(ids.back() == 0);
}
