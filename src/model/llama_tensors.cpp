#include "llama_tensors.h"

#include <cassert>
#include <cstddef>
#include <string_view>

#include <fmt/format.h>

namespace ane::model {

namespace {

const Parameter& tensor(const ParameterLayout& layout, std::string_view name) {
  const Parameter* found = layout.find(name);
  assert(found != nullptr);
  return *found;
}

LlamaTensors::Layer layer_tensors(const ParameterLayout& layout, std::size_t layer) {
  const auto of_layer = [&](std::string_view role) -> const Parameter& {
    return tensor(layout, fmt::format("model.layers.{}.{}.weight", layer, role));
  };
  return {.input_layernorm = of_layer("input_layernorm"),
          .q_proj = of_layer("self_attn.q_proj"),
          .k_proj = of_layer("self_attn.k_proj"),
          .v_proj = of_layer("self_attn.v_proj"),
          .o_proj = of_layer("self_attn.o_proj"),
          .post_attention_layernorm = of_layer("post_attention_layernorm"),
          .gate_proj = of_layer("mlp.gate_proj"),
          .down_proj = of_layer("mlp.down_proj"),
          .up_proj = of_layer("mlp.up_proj")};
}

}  // namespace

LlamaTensors::LlamaTensors(const ModelConfig& config, const ParameterLayout& layout)
    : embedding(tensor(layout, "model.embed_tokens.weight")),
      norm(tensor(layout, "model.norm.weight")),
      classifier(config.tied_embeddings ? embedding : tensor(layout, "lm_head.weight")) {
  layers.reserve(config.layers);
  for (std::size_t layer = 0; layer < config.layers; ++layer) layers.push_back(layer_tensors(layout, layer));
}

}  // namespace ane::model
