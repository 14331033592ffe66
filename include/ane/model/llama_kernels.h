#pragma once

#include <vector>

#include "ane/model/kernel_definition.h"
#include "ane/model/llama_config.h"

/// The kernels of a Llama step with weights baked in. Each takes one packed input and gives one packed output; D is the
/// width, H the feed-forward width, Q = NH * HD (which is D), KV the width of keys and values, S the sequence. All are
/// pure functions of a checked configuration and the element type.
namespace ane::model {

/// Attention of a normalised input. Taps for the backward pass come out beside the result.
///   in  xn [D]
///   out o [D] = Wo attn, q [Q] and k [KV] after RoPE, v [KV], attn [Q]
[[nodiscard]] KernelDefinition attn_fwd(const LlamaConfig& config, mil::DType element);

/// Feed-forward of a normalised input.
///   in  xn [D]
///   out y [D] = W2 gate, h1 [H] = W1 xn, h3 [H] = W3 xn, gate [H] = silu(h1) * h3
[[nodiscard]] KernelDefinition ffn_fwd(const LlamaConfig& config, mil::DType element);

/// Backward of ffn_fwd.
///   in  dy [D], h1 [H], h3 [H]
///   out dxn [D], dh1 [H], dh3 [H]
[[nodiscard]] KernelDefinition ffn_bwd(const LlamaConfig& config, mil::DType element);

/// Backward of attn_fwd, first part: through Wo and the product with v. Recomputes the probabilities.
///   in  q [Q], k [KV], v [KV], do [D]
///   out dv [KV], probs [NH*S], dp [NH*S]: row (h, s) of the scores as a channel
[[nodiscard]] KernelDefinition attn_bwd1(const LlamaConfig& config, mil::DType element);

/// Second part: through softmax, scores and RoPE. Has no trained weights.
///   in  probs [NH*S], dp [NH*S], q [Q], k [KV]
///   out dq [Q], dk [KV]: with respect to the projections, before RoPE
[[nodiscard]] KernelDefinition attn_bwd2(const LlamaConfig& config, mil::DType element);

/// Third part: through the projections.
///   in  dq [Q], dk [KV], dv [KV]
///   out dxn [D]
[[nodiscard]] KernelDefinition qkv_bwd(const LlamaConfig& config, mil::DType element);

/// All six, in the order of a step.
[[nodiscard]] std::vector<KernelDefinition> llama_kernels(const LlamaConfig& config, mil::DType element);

}  // namespace ane::model
