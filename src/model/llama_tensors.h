#pragma once

#include <vector>

#include "ane/model/config.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// A Llama's tensors by role, looked up once. Refers to the layout.
struct LlamaTensors {
  LlamaTensors(const ModelConfig& config, const ParameterLayout& layout);

  struct Layer {
    const Parameter& attention_norm;
    const Parameter& wq;
    const Parameter& wk;
    const Parameter& wv;
    const Parameter& wo;
    const Parameter& ffn_norm;
    const Parameter& w1;
    const Parameter& w2;
    const Parameter& w3;
  };
  const Parameter& embedding;
  std::vector<Layer> layers;
  const Parameter& norm;
  const Parameter& classifier;  ///< may be the embedding
};

}  // namespace ane::model
