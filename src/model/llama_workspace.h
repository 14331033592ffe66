#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ane/core/mapped_memory.h"
#include "ane/model/llama.h"

#include "layer_runner.h"
#include "llama_tensors.h"
#include "weight_gradient.h"

namespace ane::model {

/// What one step leaves for the next to use again: all of its fp32 memory, and all that would else be made anew. After
/// a first step none allocates any. Activations are [channels, S].
struct Llama::Workspace {
  Workspace(const LlamaConfig& config, const ParameterLayout& layout, KernelBank& kernels, const Engine& engine,
            std::size_t lane);

  /// What the forward pass keeps of a layer for the backward pass.
  struct Layer {
    std::span<float> attn_in;  ///< [D, S] normalised
    std::span<float> attn_r;   ///< [S] as rms_norm_forward leaves it
    std::span<float> middle;   ///< [D, S] residual stream between attention and feed-forward
    std::span<float> ffn_in;   ///< [D, S] normalised
    std::span<float> ffn_r;    ///< [S]
  };

  /// What weight gradients of one layer are made of, beside Layer. Products that run beside the device may lag by a
  /// layer, so there are then two of these, for even and odd layers; otherwise one.
  struct Operands {
    std::span<float> dy;                ///< [D, S] gradient of the residual stream behind the layer
    std::span<float> dmiddle;           ///< [D, S] gradient of Layer::middle
    std::span<float> attn, dq;          ///< [D, S]
    std::span<float> dk, dv;            ///< [KV, S]
    std::span<float> gate, dh1, dh3;    ///< [H, S]
    GradientProducts::Ticket last = 0;  ///< of the products that read these
  };
  [[nodiscard]] Operands& operands_of(std::size_t layer) { return operands[layer % operands.size()]; }
  /// Those of the layer before; of the first layer's, only `dy` has a use: the gradient of the embeddings.
  [[nodiscard]] Operands& operands_below(std::size_t layer) { return operands_of(layer + operands.size() - 1); }

  math::ThreadPool& threads;  ///< of this lane
  LlamaTensors tensors;
  LayerRunner runner;

  std::vector<Layer> layers;
  std::vector<std::span<float>> stream;  ///< [D, S] before each layer, and after the last
  std::span<float> final_in;             ///< [D, S] normalised input of the classifier
  std::span<float> final_r;              ///< [S]
  std::span<float> logits;               ///< [S, V], then their gradient
  std::vector<double> losses;            ///< [S] of each position
  std::span<float> dfinal_rows;          ///< [S, D] gradient of final_in, a row a position
  std::vector<Operands> operands;
  std::span<float> dnorm;  ///< [D, S] gradient of a normalised input

  StepTimes times;  ///< of a step beside others

  MappedMemory memory;        ///< that all of these lie in
  GradientProducts products;  ///< last, so that it ends before what it reads

 private:
  template <class Take>
  void lay_out(const LlamaConfig& config, const Take& take);
};

}  // namespace ane::model
