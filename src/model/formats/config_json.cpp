#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/config.h"

#include "formats/json_object.h"

namespace ane::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFamilyKey = "model_type";
constexpr const char* kLlama3 = "llama3";  // a type of RoPE scaling

struct SizeKey {
  const char* key;
  std::size_t ModelConfig::*field;
  bool mlp;  ///< whether the mlp family has this dimension
};
constexpr std::array kSizes = {
    SizeKey{"hidden_size", &ModelConfig::dim, true},
    SizeKey{"intermediate_size", &ModelConfig::hidden, true},
    SizeKey{"num_hidden_layers", &ModelConfig::layers, false},
    SizeKey{"num_attention_heads", &ModelConfig::heads, false},
    SizeKey{"num_key_value_heads", &ModelConfig::kv_heads, false},
    SizeKey{"head_dim", &ModelConfig::head_dim, false},
    SizeKey{"vocab_size", &ModelConfig::vocab, false},
    SizeKey{"max_position_embeddings", &ModelConfig::seq_len, true},
};

/// A family in config.json: the values of `model_type` and `architectures`.
struct Architecture {
  Family family;
  const char* type;
  const char* model;
};
/// Mistral's models differ from Llama's in the sliding window only.
constexpr std::array kArchitectures = {Architecture{Family::llama, "llama", "LlamaForCausalLM"},
                                       Architecture{Family::llama, "mistral", "MistralForCausalLM"},
                                       Architecture{Family::qwen2, "qwen2", "Qwen2ForCausalLM"},
                                       Architecture{Family::qwen3, "qwen3", "Qwen3ForCausalLM"}};

Json json_of(const ModelConfig& config) {
  const bool is_mlp = config.family == Family::mlp;
  Json json = {{kFamilyKey, name(config.family)}};
  for (const SizeKey& size : kSizes)
    if (size.mlp || !is_mlp) json[size.key] = config.*size.field;
  if (is_mlp) return json;
  json["architectures"] = {std::ranges::find(kArchitectures, config.family, &Architecture::family)->model};
  json["hidden_act"] = "silu";
  json["rms_norm_eps"] = config.norm_eps;
  json["rope_theta"] = config.rope_theta;
  if (config.rope_scaling)
    json["rope_scaling"] = {{"rope_type", kLlama3},
                            {"factor", config.rope_scaling->factor},
                            {"low_freq_factor", config.rope_scaling->low_freq_factor},
                            {"high_freq_factor", config.rope_scaling->high_freq_factor},
                            {"original_max_position_embeddings", config.rope_scaling->original_positions}};
  json["tie_word_embeddings"] = config.tied_embeddings;
  json["torch_dtype"] = "float32";
  return json;
}

/// Reads the base and the scaling of RoPE, which newer versions of transformers write as `rope_parameters`.
void read_rope(const JsonObject& reader, ModelConfig& config) {
  if (reader.has("rope_theta")) config.rope_theta = reader.number("rope_theta");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!reader.has(key)) continue;
    const JsonObject rope = reader.object(key);
    if (rope.has("rope_theta")) config.rope_theta = rope.number("rope_theta");
    const char* const type = rope.has("rope_type") ? "rope_type" : "type";
    const bool is_optional = std::string_view(key) == "rope_parameters";
    if ((is_optional && !rope.has(type)) || rope.text(type) == "default") continue;
    rope.expect(type, kLlama3);
    config.rope_scaling = {.factor = rope.number("factor"),
                           .low_freq_factor = rope.number("low_freq_factor"),
                           .high_freq_factor = rope.number("high_freq_factor"),
                           .original_positions = rope.size("original_max_position_embeddings")};
  }
}

/// Limits the sequence to the sliding window: within it, attention is the same as without.
void read_window(const JsonObject& reader, ModelConfig& config) {
  if (!reader.has("sliding_window")) return;
  if (reader.has("use_sliding_window") && !reader.flag("use_sliding_window")) return;
  config.seq_len = std::min(config.seq_len, reader.size("sliding_window"));
}

/// The width of a head in a config without `head_dim`, as in transformers' config of the family.
std::size_t default_head_dim(const ModelConfig& config) {
  if (config.family == Family::qwen3) return 128;
  return config.heads > 0 ? config.dim / config.heads : 0;
}

/// Reads the fields of a transformer. Absent keys have the defaults of transformers' configs.
void read_transformer(const JsonObject& reader, ModelConfig& config) {
  for (const char* key : {"attention_bias", "mlp_bias"}) reader.expect(key, false);
  for (const char* key : {"quantization_config", "num_experts", "num_local_experts"}) reader.expect(key, nullptr);
  reader.expect("hidden_act", "silu");
  reader.expect("partial_rotary_factor", 1.0);
  read_rope(reader, config);
  read_window(reader, config);
  config.kv_heads = reader.has("num_key_value_heads") ? config.kv_heads : config.heads;
  if (!reader.has("head_dim")) config.head_dim = default_head_dim(config);
  config.norm_eps = reader.has("rms_norm_eps") ? reader.number("rms_norm_eps") : 1e-6;
  config.tied_embeddings = reader.has("tie_word_embeddings") && reader.flag("tie_word_embeddings");
}

Family family_of(const std::string& type, const std::string& place) {
  if (type == name(Family::mlp)) return Family::mlp;
  std::string supported;
  for (const Architecture& row : kArchitectures) {
    if (type == row.type) return row.family;
    supported += fmt::format("{}, ", row.type);
  }
  throw FileError(fmt::format("{}: {} '{}' is not supported; supported: {}{}", place, kFamilyKey, type, supported,
                              name(Family::mlp)));
}

bool has_default(std::string_view key) { return key == "num_key_value_heads" || key == "head_dim"; }

}  // namespace

std::string to_json(const ModelConfig& config, int indent) { return json_of(config).dump(indent); }

ModelConfig config_from_json(std::string_view json, const std::string& place) {
  const JsonObject reader = JsonObject::parse(json, place);
  ModelConfig config;
  config.family = family_of(reader.text(kFamilyKey), place);
  const bool is_mlp = config.family == Family::mlp;
  for (const SizeKey& size : kSizes)
    if ((size.mlp || !is_mlp) && (!has_default(size.key) || reader.has(size.key)))
      config.*size.field = reader.size(size.key);
  if (!is_mlp) read_transformer(reader, config);
  try {
    check_parameters(config);
  } catch (const UsageError& error) {
    throw FileError(fmt::format("{}: invalid model config: {}", place, error.what()));
  }
  return config;
}

ModelConfig read_config(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20U;  // a few thousand are usual
  return config_from_json(whole_text(RegularFile(path, "model config"), kMostBytes), path.string());
}

std::vector<std::string> differences(const ModelConfig& a, const ModelConfig& b) {
  const Json first = json_of(a);
  const Json second = json_of(b);
  const auto shown = [](const Json& json, const std::string& key) {
    return json.contains(key) ? json.at(key).dump() : std::string("none");
  };
  std::vector<std::string> texts;
  for (const Json* json : {&first, &second}) {
    for (const auto& [key, value] : json->items()) {
      const bool is_new = json == &first || !first.contains(key);
      if (is_new && shown(first, key) != shown(second, key))
        texts.push_back(fmt::format("{}: {} and {}", key, shown(first, key), shown(second, key)));
    }
  }
  return texts;
}

}  // namespace ane::model
