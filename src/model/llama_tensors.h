#pragma once

#include <vector>

#include "ane/model/config.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// A Llama's tensors by role, looked up once. Refers to the layout.
struct LlamaTensors {
  LlamaTensors(const ModelConfig& config, const ParameterLayout& layout);

  struct Layer {
    const Parameter& input_layernorm;
    const Parameter& q_proj;
    const Parameter& k_proj;
    const Parameter& v_proj;
    const Parameter& o_proj;
    const Parameter& post_attention_layernorm;
    const Parameter& gate_proj;
    const Parameter& down_proj;
    const Parameter& up_proj;
  };
  const Parameter& embedding;
  std::vector<Layer> layers;
  const Parameter& norm;
  const Parameter& classifier;  ///< may be the embedding
};

}  // namespace ane::model
