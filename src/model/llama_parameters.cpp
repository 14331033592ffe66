#include <string_view>

#include <fmt/format.h>

#include "layouts.h"
#include "shape.h"

namespace ane::model {

ParameterLayout llama_parameters(const ModelConfig& config) {
  check(config);
  const mil::Shape norm = shape_of({config.dim});
  const mil::Shape embedding = shape_of({config.vocab, config.dim});
  const mil::Shape to_q = shape_of({config.q_dim(), config.dim});
  const mil::Shape to_kv = shape_of({config.kv_dim(), config.dim});
  const mil::Shape up = shape_of({config.hidden, config.dim});
  const mil::Shape down = shape_of({config.dim, config.hidden});

  ParameterLayout layout;
  layout.add("tok_embeddings.weight", embedding, true);
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    const auto add = [&](std::string_view name, const mil::Shape& shape) {
      layout.add(fmt::format("layers.{}.{}.weight", layer, name), shape, shape.size() == 2);
    };
    add("attention_norm", norm);
    add("attention.wq", to_q);
    add("attention.wk", to_kv);
    add("attention.wv", to_kv);
    add("attention.wo", shape_of({config.dim, config.q_dim()}));
    add("ffn_norm", norm);
    add("feed_forward.w1", up);
    add("feed_forward.w2", down);
    add("feed_forward.w3", up);
  }
  layout.add("norm.weight", norm, false);
  if (!config.tied_embeddings) layout.add("output.weight", embedding, true);
  return layout;
}

}  // namespace ane::model
