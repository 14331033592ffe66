#pragma once

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "support/paths.h"

namespace ane::test {

/// Made by make_small_tokenizers.mjs with Hugging Face's library.
inline const nlohmann::json& small_tokenizers() {
  static const nlohmann::json read =
      nlohmann::json::parse(std::ifstream(source_dir() / "tests/text/golden/small_tokenizers.json"));
  return read;
}

/// The tokenizer.json that a row of the file stands for; make_small_tokenizers.mjs makes the same.
inline nlohmann::json file_of(const nlohmann::json& row) {
  using nlohmann::json;
  const json& model = small_tokenizers().at("models").at(row.at("model").get<std::string>());
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

}  // namespace ane::test
