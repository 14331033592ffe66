#include "ane/model/config.h"

#include <cmath>
#include <string>

#include "ane/core/error.h"
#include "ane/model/models.h"

#include "support/catch.h"

namespace ane::model {
namespace {

constexpr ModelConfig kLlama = {.dim = 8,
                                .hidden = 12,
                                .layers = 2,
                                .heads = 4,
                                .kv_heads = 2,
                                .head_dim = 6,
                                .vocab = 10,
                                .seq_len = 4,
                                .tied_embeddings = false,
                                .norm_eps = 1e-6,
                                .rope_theta = 500000};
constexpr ModelConfig kMlp = {.family = Family::mlp, .dim = 64, .hidden = 128, .seq_len = 32};

ModelConfig scaled() {
  ModelConfig config = kLlama;
  config.rope_scaling = {.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_positions = 64};
  return config;
}

ModelConfig llama_as(Family family) {
  ModelConfig config = kLlama;
  config.family = family;
  return config;
}

TEST_CASE("a config survives a JSON round trip", "[model][config]") {
  for (const ModelConfig& config : {kLlama, kMlp, scaled(), llama_as(Family::qwen2), llama_as(Family::qwen3)})
    CHECK(config_from_json(to_json(config), "here") == config);
}

/// The config with another value at the end of its JSON.
ModelConfig with(const std::string& field) {
  std::string json = to_json(kLlama);
  json.back() = ',';
  return config_from_json(json + field + "}", "here");
}

TEST_CASE("newer and older forms of RoPE's parameters are read", "[model][config]") {
  const std::string llama3 = R"("factor":8,"low_freq_factor":1,"high_freq_factor":4,)"
                             R"("original_max_position_embeddings":64)";
  ModelConfig expected = scaled();
  CHECK(with(R"("rope_scaling":{"type":"llama3",)" + llama3 + "}") == expected);
  CHECK(with(R"("rope_parameters":{"rope_type":"llama3",)" + llama3 + "}") == expected);
  expected = kLlama;
  expected.rope_theta = 7;
  CHECK(with(R"("rope_parameters":{"rope_theta":7})") == expected);
  CHECK(with(R"("rope_parameters":{"rope_type":"default","rope_theta":7})") == expected);
}

TEST_CASE("the sequence is not longer than an active sliding window", "[model][config]") {
  CHECK(with(R"("sliding_window":3)").seq_len == 3);
  CHECK(with(R"("sliding_window":5)").seq_len == 4);
  CHECK(with(R"("sliding_window":3,"use_sliding_window":false)").seq_len == 4);
  CHECK(with(R"("sliding_window":null)").seq_len == 4);
}

TEST_CASE("Llama 3's scaling divides low frequencies and keeps high ones", "[model][config]") {
  ModelConfig config = kLlama;
  config.head_dim = 128;
  config.rope_theta = 500000;
  const auto plain = [&](std::size_t pair) { return std::pow(500000.0, -2.0 * static_cast<double>(pair) / 128); };
  CHECK(config.rope_frequency(5) == Approx(plain(5)));
  config.rope_scaling = {.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_positions = 8192};
  CHECK(config.rope_frequency(0) == 1);
  CHECK(config.rope_frequency(28) == Approx(plain(28)));          // 4.2 turns in 8,192 positions
  CHECK(config.rope_frequency(35) == Approx(plain(35) / 8));      // 0.996 turns
  const double turns = 8192 * plain(32) / (2 * std::acos(-1.0));  // 1.84
  const double kept = (turns - 1) / 3;
  CHECK(config.rope_frequency(32) == Approx((1 - kept) * plain(32) / 8 + kept * plain(32)));
}

TEST_CASE("a config has the keys of Hugging Face's config.json", "[model][config]") {
  CHECK(to_json(kLlama) ==
        R"({"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4,)"
        R"("num_key_value_heads":2,"head_dim":6,"vocab_size":10,"max_position_embeddings":4,)"
        R"("architectures":["LlamaForCausalLM"],"hidden_act":"silu","rms_norm_eps":1e-06,"rope_theta":500000.0,)"
        R"("tie_word_embeddings":false,"torch_dtype":"float32"})");
  CHECK(to_json(kMlp) ==
        R"({"model_type":"mlp","hidden_size":64,"intermediate_size":128,"max_position_embeddings":32})");
}

TEST_CASE("keys missing in a config.json have the defaults of transformers", "[model][config]") {
  const ModelConfig config = config_from_json(
      R"({"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4,
          "vocab_size":10,"max_position_embeddings":4,"rope_scaling":null,"bos_token_id":1})",
      "here");
  CHECK(config.kv_heads == 4);
  CHECK(config.head_dim == 2);
  CHECK(config.norm_eps == 1e-6);
  CHECK(config.rope_theta == 10000);
  CHECK_FALSE(config.tied_embeddings);
}

TEST_CASE("each family has its own architecture, features and default of head_dim", "[model][config]") {
  const auto [type, architecture, family, head_dim] = GENERATE(
      table<std::string, std::string, Family, std::size_t>({{"llama", "LlamaForCausalLM", Family::llama, 2},
                                                            {"mistral", "LlamaForCausalLM", Family::llama, 2},
                                                            {"qwen2", "Qwen2ForCausalLM", Family::qwen2, 2},
                                                            {"qwen3", "Qwen3ForCausalLM", Family::qwen3, 128}}));
  const ModelConfig config =
      config_from_json(R"({"model_type":")" + type +
                           R"(","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4,
          "vocab_size":10,"max_position_embeddings":4})",
                       "here");
  CHECK(config.family == family);
  CHECK(config.head_dim == head_dim);
  CHECK(config.has_qkv_bias() == (type == "qwen2"));
  CHECK(config.has_qk_norm() == (type == "qwen3"));
  CHECK_THAT(to_json(config), ANE_CONTAINS(architecture));
}

TEST_CASE("the error for an unusable config.json names the source and the key", "[model][config][malformed]") {
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string json = to_json(kLlama);
    return json.replace(json.find(from), from.size(), to);
  };
  const auto [json, fault] = GENERATE_COPY(table<std::string, const char*>({
      {"", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {changed("\"hidden_size\":8", "\"hidden_size\":NaN"), "it is not valid JSON: line 1, column"},
      {"{}", "'model_type' is missing"},
      {changed("\"llama\"", "\"gpt2\""),
       "model_type 'gpt2' is not supported; supported: llama, mistral, qwen2, qwen3, mlp"},
      {changed("\"hidden_size\":8", "\"hidden_size\":\"8\""), "'hidden_size' is \"8\""},
      {changed("\"hidden_size\":8", "\"hidden_size\":-8"), "'hidden_size' is -8"},
      {changed("\"hidden_size\":8", "\"hidden_size\":99999999999"), "'hidden_size' is 99999999999"},
      {changed("\"hidden_size\":8,", ""), "'hidden_size' is missing"},
      {changed("\"num_key_value_heads\":2", "\"num_key_value_heads\":3"), "kv_heads must divide heads"},
      {changed("\"silu\"", "\"gelu\""), "'hidden_act' is \"gelu\", but the supported value is \"silu\""},
      {changed("\"hidden_act\"", "\"mlp_bias\":true,\"hidden_act\""), "'mlp_bias' is true"},
      {changed("\"hidden_act\"", "\"rope_scaling\":{\"factor\":8},\"hidden_act\""), "'type' is missing"},
      {changed("\"hidden_act\"", "\"rope_scaling\":8,\"hidden_act\""), "'rope_scaling' is 8"},
      {changed("\"hidden_act\"", "\"rope_scaling\":{\"type\":\"yarn\"},\"hidden_act\""),
       "'type' is \"yarn\", but the supported value is \"llama3\""},
      {changed("\"hidden_act\"", "\"quantization_config\":{},\"hidden_act\""), "'quantization_config' is an object"},
      {changed("\"hidden_act\"", "\"num_local_experts\":8,\"hidden_act\""), "'num_local_experts' is 8"},
      {changed("1e-06", "\"small\""), "'rms_norm_eps' is \"small\""},
      {changed("1e-06", "0"), "norm_eps is 0"},
  }));
  CAPTURE(json);
  CHECK_THROWS_AS(config_from_json(json, "here.json"), FileError);
  CHECK_THROWS_WITH(config_from_json(json, "here.json"), ANE_CONTAINS("here.json") && ANE_CONTAINS(fault));
}

TEST_CASE("a config.json that is nested too deeply is refused", "[model][config][malformed]") {
  constexpr std::size_t kDepth = 300'000;  // copying it would need more stack than there is
  const std::string deep = std::string(kDepth, '[') + std::string(kDepth, ']');
  for (const char* key : {"rope_scaling", "rope_parameters", "unknown"})
    CHECK_THROWS_WITH(
        config_from_json(R"({"model_type":"llama",")" + std::string(key) + R"(":{"a":)" + deep + "}}", "config.json"),
        ANE_CONTAINS("config.json: its JSON is nested more than 32 deep"));
}

TEST_CASE("differences() lists the keys whose values differ", "[model][config]") {
  ModelConfig other = kLlama;
  other.heads = 8;
  other.tied_embeddings = true;
  CHECK(differences(kLlama, other) ==
        std::vector<std::string>{"num_attention_heads: 4 and 8", "tie_word_embeddings: false and true"});
  CHECK(differences(kLlama, kLlama).empty());
  CHECK(differences(kLlama, kMlp).front() == "model_type: \"llama\" and \"mlp\"");
}

TEST_CASE("a model may support longer sequences than can be computed at once", "[model][config]") {
  // Llama 3.2 1B
  const ModelConfig config = config_from_json(
      R"({"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
          "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
          "max_position_embeddings": 131072})",
      "config.json");
  CHECK(config.seq_len == 131072);
  CHECK_NOTHROW(check_parameters(config));
  CHECK_THROWS_WITH(check(config), ANE_CONTAINS("the logits would have 131072 x 128256 elements"));
  CHECK(parameter_layout(config).find("model.embed_tokens.weight") != nullptr);
  CHECK_THROWS_AS(kernel_plan(config, {}), UsageError);
}

}  // namespace
}  // namespace ane::model
