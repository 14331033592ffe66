#include "ane/model/config.h"

#include <string>

#include "ane/core/error.h"

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

TEST_CASE("a config survives a JSON round trip", "[model][config]") {
  for (const ModelConfig& config : {kLlama, kMlp}) CHECK(config_from_json(to_json(config), "here") == config);
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

TEST_CASE("the error for an unusable config.json names the source and the key", "[model][config][malformed]") {
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string json = to_json(kLlama);
    return json.replace(json.find(from), from.size(), to);
  };
  const auto [json, fault] = GENERATE_COPY(table<std::string, const char*>({
      {"", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {"{}", "'model_type' is missing"},
      {changed("\"llama\"", "\"gpt2\""), "model_type 'gpt2' is not supported"},
      {changed("\"hidden_size\":8", "\"hidden_size\":\"8\""), "'hidden_size' is \"8\""},
      {changed("\"hidden_size\":8", "\"hidden_size\":-8"), "'hidden_size' is -8"},
      {changed("\"hidden_size\":8", "\"hidden_size\":99999999999"), "'hidden_size' is 99999999999"},
      {changed("\"hidden_size\":8,", ""), "'hidden_size' is missing"},
      {changed("\"num_key_value_heads\":2", "\"num_key_value_heads\":3"), "kv_heads must divide heads"},
      {changed("\"silu\"", "\"gelu\""), "'hidden_act' is \"gelu\", but the supported value is \"silu\""},
      {changed("\"hidden_act\"", "\"mlp_bias\":true,\"hidden_act\""), "'mlp_bias' is true"},
      {changed("\"hidden_act\"", "\"rope_scaling\":{\"factor\":8},\"hidden_act\""), "'rope_scaling' is an object"},
      {changed("1e-06", "\"small\""), "'rms_norm_eps' is \"small\""},
      {changed("1e-06", "0"), "norm_eps is 0"},
  }));
  CAPTURE(json);
  CHECK_THROWS_AS(config_from_json(json, "here.json"), FileError);
  CHECK_THROWS_WITH(config_from_json(json, "here.json"), ANE_CONTAINS("here.json") && ANE_CONTAINS(fault));
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

}  // namespace
}  // namespace ane::model
