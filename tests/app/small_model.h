#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ane/core/file.h"
#include "ane/math/random.h"
#include "ane/model/models.h"
#include "ane/model/safetensors.h"

#include "app/program.h"
#include "text/small_tokenizers.h"

namespace cli_test {

/// The config.json of a small model, with entries that ane-train does not use.
inline nlohmann::json small_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"vocab_size", 256},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float32"},
          {"bos_token_id", 1},
          {"transformers_version", "4.51.0"},
          {"future", {{"entries", {1, 2.5, "three"}}}}};
}

/// The same of a model whose steps take no time: one layer and 64 tokens, as kSmall trains it.
inline nlohmann::json one_layer_config() {
  nlohmann::json config = small_config();
  config["num_hidden_layers"] = 1;
  config["num_attention_heads"] = 2;
  config["num_key_value_heads"] = 2;
  config["vocab_size"] = 64;
  config["tie_word_embeddings"] = true;
  return config;
}

/// A tokenizer.json whose tokens are the ASCII characters, so that a text has as many tokens as bytes.
inline std::string ascii_tokenizer() {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (int code = 0; code < 128; ++code) vocabulary[std::string(1, static_cast<char>(code))] = code;
  return nlohmann::json{{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}}
      .dump();
}

inline const std::string kTokenizer = ascii_tokenizer();
inline const std::string kSentencePiece = std::string("\0\x0a\xff binary \0", 12);

/// Writes a Hugging Face directory with random weights of this deviation, stored as `dtype`, and the files of a
/// tokenizer.
inline void write_small_model(const std::filesystem::path& directory, const nlohmann::json& config = small_config(),
                              const std::string& dtype = "F32", float deviation = 0.2F) {
  using namespace ane::model;
  std::filesystem::create_directories(directory);
  write_file(directory / "config.json", config.dump());
  write_file(directory / "tokenizer.json", kTokenizer);
  write_file(directory / "tokenizer.model", kSentencePiece);
  write_file(directory / "README.md", "not a file of the tokenizer");
  const ParameterLayout layout = parameter_layout(config_from_json(config.dump(), "config.json"));
  std::vector<TensorEntry> entries;
  for (const Parameter& parameter : layout.parameters()) entries.push_back({parameter.name, parameter.shape, dtype});
  ane::TemporaryFile file(directory / "model.safetensors");
  SafetensorsWriter writer(file, entries, {{"format", "pt"}});
  for (const Parameter& parameter : layout.parameters()) {
    std::vector<float> values(parameter.count);
    ane::math::fill_normal({7, parameter.offset}, deviation, values);
    writer.add(values);
  }
  file.commit();
}

/// The same with 400 tokens and one of the small tokenizers, which also has the special tokens of ChatML if `chat`.
inline void write_model_with_tokenizer(const std::filesystem::path& directory, const std::string& name = "byte-level",
                                       bool chat = false) {
  nlohmann::json config = small_config();
  config["vocab_size"] = 400;
  config.erase("bos_token_id");
  write_small_model(directory, config);
  std::filesystem::remove(directory / "tokenizer.model");
  const nlohmann::json& rows = ane::test::small_tokenizers().at("tokenizers");
  nlohmann::json row = *std::ranges::find_if(rows, [&](const nlohmann::json& each) { return each.at("name") == name; });
  if (chat)
    for (const char* special : {"<|im_start|>", "<|im_end|>"})
      row["added_tokens"].push_back({{"content", special},
                                     {"special", true},
                                     {"normalized", false},
                                     {"lstrip", false},
                                     {"rstrip", false},
                                     {"single_word", false}});
  write_file(directory / "tokenizer.json", ane::test::file_of(row).dump());
}

/// The bytes of each tensor by its name, its dtype and shape first.
inline std::map<std::string, std::string> tensor_bytes(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  const ane::model::SafetensorsFile opened(file);
  std::map<std::string, std::string> tensors;
  for (const auto& [name, tensor] : opened.tensors())
    tensors[name] = tensor.dtype + ane::mil::to_string(tensor.shape) +
                    bytes.substr(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.size_bytes));
  return tensors;
}

}  // namespace cli_test
