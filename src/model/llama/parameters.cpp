#include <string_view>

#include <fmt/format.h>

#include "layouts.h"
#include "shape.h"

namespace ane::model {

ParameterLayout llama_parameters(const ModelConfig& config) {
  check_parameters(config);
  const mil::Shape norm = shape_of({config.dim});
  const mil::Shape embedding = shape_of({config.vocab, config.dim});
  const mil::Shape to_q = shape_of({config.q_dim(), config.dim});
  const mil::Shape to_kv = shape_of({config.kv_dim(), config.dim});
  const mil::Shape from_q = shape_of({config.dim, config.q_dim()});
  const mil::Shape up = shape_of({config.hidden, config.dim});
  const mil::Shape down = shape_of({config.dim, config.hidden});

  ParameterLayout layout;
  layout.add({"model.embed_tokens.weight", embedding, Role::embedding, "tok_embeddings.weight"});
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    const auto add = [&](std::string_view name, const mil::Shape& shape, Role role, std::string_view meta_name,
                         std::size_t rotated_rows = 0) {
      layout.add({.name = fmt::format("model.layers.{}.{}.weight", layer, name),
                  .shape = shape,
                  .role = role,
                  .meta_name = fmt::format("layers.{}.{}.weight", layer, meta_name),
                  .rotated_rows = rotated_rows});
    };
    add("input_layernorm", norm, Role::norm, "attention_norm");
    const auto add_vector = [&](std::string_view name, std::size_t size, Role role) {
      layout.add(
          {.name = fmt::format("model.layers.{}.self_attn.{}", layer, name), .shape = shape_of({size}), .role = role});
    };
    add("self_attn.q_proj", to_q, Role::matrix, "attention.wq", config.head_dim);
    add("self_attn.k_proj", to_kv, Role::matrix, "attention.wk", config.head_dim);
    add("self_attn.v_proj", to_kv, Role::matrix, "attention.wv");
    if (config.has_qkv_bias()) {
      add_vector("q_proj.bias", config.q_dim(), Role::bias);
      add_vector("k_proj.bias", config.kv_dim(), Role::bias);
      add_vector("v_proj.bias", config.kv_dim(), Role::bias);
    }
    if (config.has_qk_norm()) {
      add_vector("q_norm.weight", config.head_dim, Role::norm);
      add_vector("k_norm.weight", config.head_dim, Role::norm);
    }
    add("self_attn.o_proj", from_q, Role::matrix, "attention.wo");
    add("post_attention_layernorm", norm, Role::norm, "ffn_norm");
    add("mlp.gate_proj", up, Role::matrix, "feed_forward.w1");
    add("mlp.down_proj", down, Role::matrix, "feed_forward.w2");
    add("mlp.up_proj", up, Role::matrix, "feed_forward.w3");
  }
  layout.add({"model.norm.weight", norm, Role::norm, "norm.weight"});
  if (!config.tied_embeddings) layout.add({"lm_head.weight", embedding, Role::embedding, "output.weight"});
  return layout;
}

}  // namespace ane::model
