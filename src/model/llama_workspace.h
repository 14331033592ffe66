#pragma once

#include <cstddef>
#include <vector>

#include "ane/model/llama.h"

namespace ane::model {

/// All fp32 memory of a step. Activations are [channels, S].
struct Llama::Workspace {
  explicit Workspace(const LlamaConfig& config);

  /// What the forward pass keeps of a layer for the backward pass.
  struct Layer {
    std::vector<float> attn_in;  ///< [D, S] normalised
    std::vector<float> attn_r;   ///< [S] as rms_norm_forward leaves it
    std::vector<float> middle;   ///< [D, S] residual stream between attention and feed-forward
    std::vector<float> ffn_in;   ///< [D, S] normalised
    std::vector<float> ffn_r;    ///< [S]
  };
  std::vector<Layer> layers;
  std::vector<std::vector<float>> stream;  ///< [D, S] before each layer, and after the last
  std::vector<float> final_in;             ///< [D, S] normalised input of the classifier
  std::vector<float> final_r;              ///< [S]
  std::vector<float> logits;               ///< [S, V], then their gradient

  // The backward pass of one layer at a time.
  std::vector<float> dx;              ///< [D, S] gradient of the residual stream
  std::vector<float> dnorm;           ///< [D, S] gradient of a normalised input
  std::vector<float> attn, dq;        ///< [D, S]
  std::vector<float> dk, dv;          ///< [KV, S]
  std::vector<float> gate, dh1, dh3;  ///< [H, S]
};

}  // namespace ane::model
