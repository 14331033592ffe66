#pragma once

#include <vector>

#include "ane/model/config.h"
#include "ane/model/kernel_options.h"
#include "ane/model/kernel_plan.h"

/// The kernels of a Llama step and their plans. Each has one packed input and one packed output. D is the width, H the
/// feed-forward width, Q = NH * HD the width of queries, KV the width of keys and values, S the sequence length. All
/// are pure functions of a checked configuration and the kernel options. With dynamic weights that are packed along the
/// width, tensors and matrices lie beside each other: C is the largest channel count of a tensor. A matrix with C
/// outputs, but not C inputs, is stored unchanged; any other is stored [in, out]. Packed along the channels, they lie
/// below each other, and every matrix is stored [in, out].
namespace ane::model {

/// Attention of a normalized input, with taps for the backward pass.
///   in  xn [D]
///   out o [D] = o_proj attn, q [Q] and k [KV] after RoPE, v [KV], attn [Q];
///       with QK-norm also q_in [Q] and k_in [KV], the projections before the norm
[[nodiscard]] KernelDefinition attn_fwd(const ModelConfig& config, const KernelOptions& options);

/// attn_fwd for S new positions after those whose keys and values are in a cache of `window` positions: for generating
/// text. `mask` [1, window] is 0 for the cached positions and -1e4 (kMasked) for the others, whose keys and values must
/// be finite; cos and sin [HD, S] are the RoPE tables of the new positions.
///   in  xn [D], cos [HD], sin [HD], mask [1, window], k_cache [KV, window], v_cache [KV, window]
///   out o [D], k [KV] after RoPE and v [KV], which belong in the cache
[[nodiscard]] KernelDefinition attn_cached(const ModelConfig& config, std::size_t window, const KernelOptions& options);

/// Feed-forward of a normalized input.
///   in  xn [D]
///   out y [D] = down_proj gate, h1 [H] = gate_proj xn, h3 [H] = up_proj xn, gate [H] = silu(h1) * h3
[[nodiscard]] KernelDefinition ffn_fwd(const ModelConfig& config, const KernelOptions& options);

/// Backward of ffn_fwd.
///   in  dy [D], h1 [H], h3 [H]
///   out dxn [D], dh1 [H], dh3 [H]
[[nodiscard]] KernelDefinition ffn_bwd(const ModelConfig& config, const KernelOptions& options);

/// Backward of attn_fwd, first part: through o_proj and the product with v. Recomputes the probabilities.
///   in  q [Q], k [KV], v [KV], do [D]
///   out dv [KV], probs [NH*S], dp [NH*S]: row (h, s) of the scores as a channel
[[nodiscard]] KernelDefinition attn_bwd1(const ModelConfig& config, const KernelOptions& options);

/// Second part: through softmax, scores and RoPE. Has no trainable weights.
///   in  probs [NH*S], dp [NH*S], q [Q], k [KV]
///   out dq [Q], dk [KV]: with respect to the projections, before RoPE;
///       with QK-norm dq_heads and dk_heads instead, with respect to the normalized heads
[[nodiscard]] KernelDefinition attn_bwd2(const ModelConfig& config, const KernelOptions& options);

/// Third part: through the projections.
///   in  dq [Q], dk [KV], dv [KV]; with QK-norm dq_heads, dk_heads, dv, q_in, k_in
///   out dxn [D]; with QK-norm also dq [Q], dk [KV], and q_norm_terms [Q] and k_norm_terms [KV], whose sums over heads
///       and positions are the gradients of the norms' weights
[[nodiscard]] KernelDefinition qkv_bwd(const ModelConfig& config, const KernelOptions& options);

/// The three parts in one: the scores never leave the kernel.
///   in  q [Q], k [KV], v [KV], do [D]; with QK-norm also q_in [Q], k_in [KV]
///   out dxn [D], dq [Q], dk [KV], dv [KV]; with QK-norm also q_norm_terms [Q], k_norm_terms [KV]
[[nodiscard]] KernelDefinition attn_bwd(const ModelConfig& config, const KernelOptions& options);

/// The plan that `options` select.
///   split   attn_fwd, ffn_fwd, ffn_bwd, attn_bwd1, attn_bwd2, qkv_bwd: known to train on M1 to M5 (ane.md 7.1)
///   merged  attn_fwd, ffn_fwd, ffn_bwd, attn_bwd: fewer compiles; there is no report of a fused backward (ane.md K19)
[[nodiscard]] KernelPlan llama_plan(const ModelConfig& config, const KernelOptions& options);

}  // namespace ane::model
