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
    return tensor(layout, fmt::format("layers.{}.{}.weight", layer, role));
  };
  return {.attention_norm = of_layer("attention_norm"),
          .wq = of_layer("attention.wq"),
          .wk = of_layer("attention.wk"),
          .wv = of_layer("attention.wv"),
          .wo = of_layer("attention.wo"),
          .ffn_norm = of_layer("ffn_norm"),
          .w1 = of_layer("feed_forward.w1"),
          .w2 = of_layer("feed_forward.w2"),
          .w3 = of_layer("feed_forward.w3")};
}

}  // namespace

LlamaTensors::LlamaTensors(const ModelConfig& config, const ParameterLayout& layout)
    : embedding(tensor(layout, "tok_embeddings.weight")),
      norm(tensor(layout, "norm.weight")),
      classifier(config.tied_embeddings ? embedding : tensor(layout, "output.weight")) {
  layers.reserve(config.layers);
  for (std::size_t layer = 0; layer < config.layers; ++layer) layers.push_back(layer_tensors(layout, layer));
}

}  // namespace ane::model
