#include "ane/text/tokenizer.h"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/paths.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

namespace {

using namespace ane;
using nlohmann::json;
using text::SpecialTokens;
using text::TokenId;
namespace fs = std::filesystem;

/// Characters with one merge.
json small_file() {
  return json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<end>", "special": true, "normalized": false}],
    "model": {"type": "BPE", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}})");
}

/// The bytes of a file that differs from small_file() at one place.
std::string changed(const std::string& pointer, const json& value) {
  json file = small_file();
  file[json::json_pointer(pointer)] = value;
  return file.dump();
}

std::string refusal(const std::string& name, const std::string& bytes) {
  const TemporaryDirectory directory;
  try {
    static_cast<void>(text::open_tokenizer(directory.write(name, bytes)));
  } catch (const FileError& error) {
    return error.what();
  }
  return "accepted";
}

template <class Number>
void append_number(Number number, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

struct ScoredToken {
  std::string name;
  float score = 0;
};

/// A tokenizer.bin with the tokens that every one has, then `others`.
std::string llama2c_file(const std::vector<ScoredToken>& others) {
  std::vector<ScoredToken> tokens = {{"<unk>"}, {"\n<s>\n"}, {"\n</s>\n"}};
  constexpr const char* kDigits = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back({std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">"});
  tokens.insert(tokens.end(), others.begin(), others.end());
  std::string bytes;
  append_number<std::int32_t>(20, bytes);
  for (const ScoredToken& token : tokens) {
    append_number(token.score, bytes);
    append_number(static_cast<std::int32_t>(token.name.size()), bytes);
    bytes += token.name;
  }
  return bytes;
}

}  // namespace

TEST_CASE("a tokenizer is found in a directory", "[text]") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(text::open_tokenizer(directory.path()), ANE_CONTAINS("has none of tokenizer.json"));
  static_cast<void>(directory.write("tokenizer.bin", llama2c_file({})));
  CHECK(text::open_tokenizer(directory.path())->vocab_size() == 259);
  static_cast<void>(directory.write("tokenizer.json", small_file().dump()));
  const auto tokenizer = text::open_tokenizer(directory.path());
  CHECK(tokenizer->vocab_size() == 5);
  CHECK(tokenizer->encode("abxa<end>") == std::vector<TokenId>{3, 0, 1, 4});
  CHECK(tokenizer->find("<end>") == TokenId{4});
  CHECK(tokenizer->find("x") == std::nullopt);
  CHECK(tokenizer->name(3) == "ab");
  CHECK(tokenizer->name(5) == std::nullopt);
  CHECK(tokenizer->is_special(4));
  CHECK_FALSE(tokenizer->is_special(3));
  CHECK(tokenizer->digest() == text::open_tokenizer(directory.path() / "tokenizer.json")->digest());
  static_cast<void>(directory.write("tokenizer.json", changed("/model/fuse_unk", true)));
  CHECK(tokenizer->digest() != text::open_tokenizer(directory.path())->digest());
  CHECK_THROWS_WITH(text::open_tokenizer(directory.write("x.txt", "")), ANE_CONTAINS("must end in .json"));
  CHECK_THROWS_WITH(text::open_tokenizer(directory.path() / "missing.json"), ANE_CONTAINS("does not exist"));
}

TEST_CASE("what a tokenizer.json has that is not supported is refused by name", "[text]") {
  const std::vector<std::tuple<std::string, json, std::string>> cases = {
      {"/model/type", "Unigram", "'model.type': \"Unigram\" is not supported"},
      {"/model/dropout", 0.1, "'model.dropout': 0.1 is not supported"},
      {"/model/end_of_word_suffix", "</w>", "'model.end_of_word_suffix': \"</w>\" is not supported"},
      {"/model/unk_token", "x", "'model.unk_token': 'x' is not in the vocabulary"},
      {"/model/vocab", json::object(), "'model.vocab': is empty"},
      {"/model/vocab/c", 1, "have the same id 1"},
      {"/model/vocab/c", -1, "is not a whole number"},
      {"/model/vocab/c", 1000000, "with so few tokens, ids below"},
      {"/model/vocab/c", 4294967296, "is not a whole number from 0 to"},
      {"/model/merges/0", "a x", "needs the token 'x'"},
      {"/model/merges/0", "b a", "needs the token 'ba'"},
      {"/model/merges/0", "a b c", "element 0 is neither"},
      {"/model/merges/0", 7, "element 0 is neither"},
      {"/model/merges", nullptr, "has no 'merges'"},
      {"/added_tokens/0/id", 7, "has the id 7, but its place in the vocabulary gives it 4"},
      {"/added_tokens/0/content", std::string(2000, 'x'), "has 2000 bytes"},
      {"/added_tokens/0/special", 1, "'added_tokens[0].special': is neither true nor false"},
      {"/normalizer", {{"type", "BertNormalizer"}}, "'normalizer.type': \"BertNormalizer\" is not supported"},
      {"/normalizer", {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", ""}}, "is empty"},
      {"/pre_tokenizer", {{"type", "Punctuation"}}, "'pre_tokenizer.type': \"Punctuation\" is not supported"},
      {"/pre_tokenizer",
       {{"type", "Split"}, {"pattern", {{"Regex", "["}}}, {"behavior", "Isolated"}},
       "pattern.Regex'"},
      {"/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Odd"}}, "\"Odd\" is not"},
      {"/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "ab"}}, "is not a single character"},
      {"/post_processor", {{"type", "BertProcessing"}}, "'post_processor.type': \"BertProcessing\" is not supported"},
      {"/decoder", {{"type", "CTC"}}, "'decoder.type': \"CTC\" is not supported"},
      {"/decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "WordPiece"}}}}}, "'decoder.decoders[0].type'"},
      {"/decoder", 3, "'decoder': is not an object"}};
  for (const auto& [pointer, value, message] : cases) {
    CAPTURE(pointer, message);
    const std::string found = refusal("tokenizer.json", changed(pointer, value));
    CHECK_THAT(found, ANE_CONTAINS(message) && ANE_CONTAINS("tokenizer.json: "));
  }
  CHECK_THAT(refusal("tokenizer.json", "{"), ANE_CONTAINS("not valid JSON"));
  CHECK_THAT(refusal("tokenizer.json", std::string(1000, '[')), ANE_CONTAINS("nested too deeply"));
  CHECK_THAT(refusal("tokenizer.json", "[]"), ANE_CONTAINS("is not an object"));
  json nested = {{"type", "NFC"}};
  for (int i = 0; i < 25; ++i) nested = {{"type", "Sequence"}, {"normalizers", {nested}}};
  CHECK_THAT(refusal("tokenizer.json", changed("/normalizer", nested)), ANE_CONTAINS("nested too deeply"));
}

TEST_CASE("gaps in a vocabulary are no tokens", "[text]") {
  json file = small_file();
  file["model"]["vocab"]["c"] = 70;
  file.erase("added_tokens");
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", file.dump()));
  CHECK(tokenizer->vocab_size() == 71);
  CHECK(tokenizer->name(69) == std::nullopt);
  CHECK(tokenizer->decode(std::vector<TokenId>{1, 69, 70, 1000}) == "a c");
}

TEST_CASE("text that is not UTF-8 is read as U+FFFD", "[text]") {
  json file = small_file();
  file["model"]["vocab"]["\uFFFD"] = 4;
  file["added_tokens"][0]["id"] = 5;
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", file.dump()));
  CHECK(tokenizer->encode("a\xFF\xE4\xB8z") == std::vector<TokenId>{1, 4, 4, 0});
}

TEST_CASE("a long word takes no longer than its length", "[text]") {
  json file = small_file();
  file["model"]["vocab"] = {{"?", 0}, {"a", 1}, {"b", 2}, {"ab", 3}, {"aa", 5}, {"aaaa", 6}, {"abab", 7}};
  file["model"]["merges"] = {"a a", "aa aa", "a b", "ab ab"};
  file["added_tokens"] = json::array();
  file["model"]["vocab"].erase("?");
  file["model"].erase("unk_token");
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", file.dump()));
  constexpr std::size_t kLength = std::size_t{1} << (kSanitized ? 17U : 20U);  // hours if each merge scanned the word
  CHECK(tokenizer->encode(std::string(kLength, 'a')) == std::vector<TokenId>(kLength / 4, 6));
  std::string alternating;
  while (alternating.size() < kLength) alternating += "ab";
  CHECK(tokenizer->encode(alternating) == std::vector<TokenId>(kLength / 4, 7));
}

TEST_CASE("many added tokens are found in one pass", "[text]") {
  json file = small_file();
  constexpr std::size_t kTokens = kSanitized ? 2000 : 5000;
  for (std::size_t i = 0; i < kTokens; ++i)
    file["added_tokens"].push_back(
        {{"id", 5 + i}, {"content", std::string(i % 900, '<') + std::to_string(i)}, {"normalized", false}});
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", file.dump()));
  constexpr std::size_t kLength = kSanitized ? 20000 : 200000;
  CHECK(tokenizer->encode(std::string(kLength, '<')) == std::vector<TokenId>(kLength, 0));
  // 903 has three of the first character, 1800 none; a piece of the search ends within the second text.
  CHECK(tokenizer->encode("a<<<<903<end>1800") == std::vector<TokenId>{1, 0, 5 + 903, 4, 5 + 1800});
  const std::string before(65532, 'a');
  CHECK(tokenizer->encode(before + "<<<903").back() == 5 + 903);
}

TEST_CASE("threads may share a tokenizer", "[text]") {
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", small_file().dump()));
  std::string text;
  for (int i = 0; i < 3000; ++i) text += i % 7 == 0 ? "ba" : i % 5 == 0 ? "<end>" : "aab";
  const std::vector<TokenId> expected = tokenizer->encode(text);
  std::vector<std::vector<TokenId>> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) ids = tokenizer->encode(text);
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : found) CHECK(ids == expected);
}

TEST_CASE("a tokenizer of llama2.c merges by score", "[text][llama2c]") {
  const TemporaryDirectory directory;
  const std::vector<ScoredToken> tokens = {{" ", -10}, {"a", -11}, {"b", -12},  {"ab", -1},
                                           {" a", -2}, {"bb", -2}, {"abb", -3}, {" ab", -4}};
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.bin", llama2c_file(tokens)));
  const auto id = [&](const char* name) { return *tokenizer->find(name); };
  CHECK(tokenizer->encode("ab") == std::vector<TokenId>{id(" ab")});
  // "ab" has the highest score; then " ab" cannot be had, since "abb" is better.
  CHECK(tokenizer->encode("abb") == std::vector<TokenId>{id(" "), id("abb")});
  CHECK(tokenizer->encode("a\xC3\xA9") == std::vector<TokenId>{id(" a"), 3 + 0xC3, 3 + 0xA9});
  CHECK(tokenizer->encode("", SpecialTokens::include) == std::vector<TokenId>{1});
  CHECK(tokenizer->encode("a", SpecialTokens::include) == std::vector<TokenId>{1, id(" a")});
  CHECK(tokenizer->decode(std::vector<TokenId>{1, id(" a"), id(" ab"), 3 + 0xC3, 3 + 0xA9, 2}) == "a ab\u00e9");
}

TEST_CASE("a damaged tokenizer of llama2.c is refused", "[text][llama2c]") {
  const std::string whole = llama2c_file({{" ", -1}, {"a", -2}});
  CHECK(refusal("tokenizer.bin", whole) == "accepted");
  CHECK_THAT(refusal("tokenizer.bin", ""), ANE_CONTAINS("ends within a token"));
  CHECK_THAT(refusal("tokenizer.bin", whole.substr(0, whole.size() - 1)), ANE_CONTAINS("token 260 has a length of 1"));
  CHECK_THAT(refusal("tokenizer.bin", whole.substr(0, 100)), ANE_CONTAINS("llama2.c"));
  CHECK_THAT(refusal("tokenizer.bin", llama2c_file({{std::string(21, 'x'), 0}})), ANE_CONTAINS("longest token has 20"));
  CHECK_THAT(refusal("tokenizer.bin", llama2c_file({{"\xFF", 0}})), ANE_CONTAINS("not UTF-8"));
  CHECK_THAT(refusal("tokenizer.bin", llama2c_file({{"a", 0}, {"a", 0}})), ANE_CONTAINS("two ids"));
  CHECK_THAT(refusal("tokenizer.bin", llama2c_file({{"a", std::numeric_limits<float>::quiet_NaN()}})),
             ANE_CONTAINS("not finite"));
}

TEST_CASE("a damaged SentencePiece model is refused", "[text]") {
  CHECK_THAT(refusal("tokenizer.model", ""), ANE_CONTAINS("not a model of SentencePiece"));
  CHECK_THAT(refusal("tokenizer.model", "nonsense"), ANE_CONTAINS("not a model of SentencePiece"));
}
