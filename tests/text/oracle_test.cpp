#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/text/tokenizer.h"

#include "support/catch.h"
#include "support/paths.h"
#include "support/temporary_directory.h"

namespace {

using namespace ane;
using text::SpecialTokens;
using text::TokenId;
using text::Tokenizer;
namespace fs = std::filesystem;

const std::vector<std::string> kPublished = {"qwen3", "llama3", "llama2"};

/// Fetched by scripts/fetch_tokenizers.sh; nullptr if it was not.
std::unique_ptr<Tokenizer> published(const std::string& name) {
  const fs::path directory = test::source_dir() / "build/tokenizers" / name;
  if (fs::exists(directory)) return text::open_tokenizer(directory);
  WARN("skipped: there is no " << directory.string() << " (scripts/fetch_tokenizers.sh)");
  return nullptr;
}

std::optional<nlohmann::json> shared_json(const std::string& name) {
  const fs::path file = test::shared_dir() / name;
  if (fs::exists(file)) return nlohmann::json::parse(std::ifstream(file));
  WARN("skipped: there is no " << file.string());
  return std::nullopt;
}

}  // namespace

TEST_CASE("published tokenizers give the ids and texts of Hugging Face's library", "[text][oracle]") {
  const std::string name = GENERATE(from_range(kPublished));
  const auto expected = shared_json("oracle/tokens/expected.json");
  const auto tokenizer = published(name);
  if (!expected || !tokenizer) return;
  for (const nlohmann::json& row : expected->at(name)) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<TokenId>>();
    CAPTURE(name, text);
    CHECK(tokenizer->encode(text) == ids);
    CHECK(tokenizer->encode(text, SpecialTokens::include) == row.at("with_special").get<std::vector<TokenId>>());
    CHECK(tokenizer->decode(ids) == row.at("decoded").get<std::string>());
  }
}

TEST_CASE("a SentencePiece model gives the ids and texts of its own program", "[text][oracle]") {
  const auto expected = shared_json("oracle/tokens/sentencepiece.json");
  if (!expected) return;
  const auto tokenizer = text::open_tokenizer(test::shared_dir() / "data/llama2-tokenizer.model");
  CHECK(tokenizer->vocab_size() == 32000);
  CHECK(tokenizer->find("</s>") == TokenId{2});
  for (const nlohmann::json& row : *expected) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<TokenId>>();
    CAPTURE(text);
    CHECK(tokenizer->encode(text) == ids);
    CHECK(tokenizer->decode(ids) == row.at("decoded").get<std::string>());
  }
}

TEST_CASE("a tokenizer of llama2.c gives the ids of the SentencePiece model that it was made from", "[text][oracle]") {
  const auto expected = shared_json("oracle/tokens/sentencepiece.json");
  if (!expected) return;
  const auto model = text::open_tokenizer(test::shared_dir() / "data/llama2-tokenizer.model");
  // As llama2.c exports it, with scores that fall with the id, as they do in the model of Llama 2.
  std::string bytes(4, '\x7F');
  bytes.back() = 0;
  for (TokenId id = 0; id < model->vocab_size(); ++id) {
    std::string name = id == 1 ? "\n<s>\n" : id == 2 ? "\n</s>\n" : *model->name(id);
    constexpr std::string_view kSpace = "\u2581";
    for (std::size_t at = 0; (at = name.find(kSpace, at)) != std::string::npos;) name.replace(at, kSpace.size(), " ");
    const float score = -static_cast<float>(id);
    const auto length = static_cast<std::int32_t>(name.size());
    bytes.append(reinterpret_cast<const char*>(&score), sizeof(score));
    bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
    bytes += name;
  }
  const TemporaryDirectory directory;
  const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.bin", bytes));
  CHECK(tokenizer->vocab_size() == model->vocab_size());
  for (const nlohmann::json& row : *expected) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<TokenId>>();
    // SentencePiece takes U+2581 for a space, and the scores of runs of spaces do not fall with the id.
    if (text.find("\u2581") != std::string::npos || text.find("  ") != std::string::npos) continue;
    CAPTURE(text);
    CHECK(tokenizer->encode(text) == ids);
    CHECK(tokenizer->decode(ids) == row.at("decoded").get<std::string>());
  }
}
