#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/text/tokenizer.h"

#include "support/catch.h"
#include "support/paths.h"
#include "support/temporary_directory.h"

namespace {

using namespace ane;
using nlohmann::json;
using text::SpecialTokens;
using text::TokenId;

/// Made by make_small_tokenizers.mjs with Hugging Face's library.
const json& golden() {
  static const json read = json::parse(std::ifstream(test::source_dir() / "tests/text/golden/small_tokenizers.json"));
  return read;
}

/// The tokenizer.json that a row of the file stands for; make_small_tokenizers.mjs makes the same.
json file_of(const json& row) {
  const json& model = golden().at("models").at(row.at("model").get<std::string>());
  json vocabulary = json::object();
  for (const json& token : model.at("tokens")) vocabulary[token.get<std::string>()] = vocabulary.size();
  json merges = model.at("merges");
  if (!row.contains("pairs"))
    for (json& merge : merges) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  json file = {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
  if (row.contains("options")) file["model"].update(row.at("options"));
  for (const char* step : {"normalizer", "pre_tokenizer", "post_processor", "decoder"})
    if (row.contains(step)) file[step] = row.at(step);
  std::size_t next = vocabulary.size();
  for (json token : row.value("added_tokens", json::array())) {
    const auto known = vocabulary.find(token.at("content").get<std::string>());
    token["id"] = known == vocabulary.end() ? next++ : known->get<std::size_t>();
    file["added_tokens"].push_back(token);
  }
  return file;
}

}  // namespace

TEST_CASE("small tokenizers give the ids and texts of Hugging Face's library", "[text][golden]") {
  REQUIRE(golden().at("tokenizers").size() > 40);
  const TemporaryDirectory directory;
  for (const json& row : golden().at("tokenizers")) {
    const auto tokenizer = text::open_tokenizer(directory.write("tokenizer.json", file_of(row).dump()));
    for (std::size_t i = 0; i < golden().at("texts").size(); ++i) {
      const auto text = golden().at("texts")[i].get<std::string>();
      const json& expected = row.at("cases").at(i);
      const auto ids = expected.at("ids").get<std::vector<TokenId>>();
      const auto with_special = expected.value("with_special", ids);
      const auto decoded = expected.at("decoded").get<std::string>();
      CAPTURE(row.at("name").get<std::string>(), text);
      CHECK(tokenizer->encode(text) == ids);
      CHECK(tokenizer->encode(text, SpecialTokens::include) == with_special);
      CHECK(tokenizer->decode(ids) == decoded);
      CHECK(tokenizer->decode(with_special, SpecialTokens::omit) == expected.value("decoded_without_special", decoded));
    }
  }
}
