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

/// Memory that is reused by all steps, so that only the first step allocates. Activations are [channels, S].
struct Llama::Workspace {
  Workspace(const ModelConfig& config, const ParameterLayout& layout, KernelBank& kernels, const ModelContext& context,
            std::size_t slot);

  /// Activations of a layer kept for the backward pass.
  struct Layer {
    std::span<float> attn_in;         ///< [D, S] normalized
    std::span<float> attn_r;          ///< [S] from rms_norm_forward
    std::span<float> post_attention;  ///< [D, S] residual after attention
    std::span<float> ffn_in;          ///< [D, S] normalized
    std::span<float> ffn_r;           ///< [S]
  };

  /// Operands of one layer's weight gradients in addition to Layer. Products that overlap with the device may lag by
  /// one layer, so there are then two of these, for even and odd layers; otherwise one.
  struct Operands {
    std::span<float> dy;                ///< [D, S] gradient of the residual after the layer
    std::span<float> dpost_attention;   ///< [D, S] gradient of Layer::middle
    std::span<float> attn, dq;          ///< [D, S]
    std::span<float> dk, dv;            ///< [KV, S]
    std::span<float> gate, dh1, dh3;    ///< [H, S]
    GradientProducts::Ticket last = 0;  ///< of the products that read these
  };
  [[nodiscard]] Operands& operands_of(std::size_t layer) { return operands[layer % operands.size()]; }
  /// The operands of the layer below; below the first layer only `dy` is used, as the gradient of the embeddings.
  [[nodiscard]] Operands& operands_below(std::size_t layer) { return operands_of(layer + operands.size() - 1); }

  math::ThreadPool& threads;  ///< of this batch slot
  LlamaTensors tensors;
  LayerRunner runner;

  std::vector<Layer> layers;
  std::vector<std::span<float>> residual;  ///< [D, S] residual before each layer and after the last
  std::span<float> final_in;               ///< [D, S] normalized input of the classifier
  std::span<float> final_r;                ///< [S]
  std::span<float> logits;                 ///< [S, V], then their gradient
  std::vector<double> losses;              ///< [S] of each position
  std::span<float> dfinal_rows;            ///< [S, D] gradient of final_in, one row per position
  std::vector<Operands> operands;
  std::span<float> dnorm;  ///< [D, S] gradient of a normalized input

  StepTimes times;  ///< of a step in this batch slot

  MappedMemory memory;        ///< backs all spans
  GradientProducts products;  ///< last, so that it is destroyed before its operands

 private:
  template <class Take>
  void lay_out(const ModelConfig& config, const Take& take);
};

}  // namespace ane::model
