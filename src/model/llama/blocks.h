#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ane/model/config.h"

#include "kernels/kernel_writer.h"

/// Shared by the attention kernels. NH query heads, KV key/value heads, R = NH / KV, HD the head size; activations are
/// [1, channels, 1, S] outside, heads [1, heads, S, HD] inside.
namespace ane::model {

/// The axis of the keys in attention scores.
inline constexpr std::int64_t kKeyAxis = -1;

/// [1, heads * HD, 1, S] -> [1, heads, S, HD].
[[nodiscard]] mil::Var split_heads(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config);

/// [1, heads, S, HD] -> [1, heads * HD, 1, S].
[[nodiscard]] mil::Var merge_heads(mil::Builder& mil, std::string_view name, mil::Var x);

/// [1, NH, S, HD] -> [1, KV, R*S, HD]: the query heads that share a KV head are concatenated, so that one product
/// serves them all. Adds nothing if R is 1.
[[nodiscard]] mil::Var group_heads(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config);

/// [1, KV, R*S, HD] -> [1, NH, S, HD].
[[nodiscard]] mil::Var ungroup_heads(mil::Builder& mil, std::string_view name, mil::Var x, const ModelConfig& config);

/// Added to scores of keys that a query must not see. exp(-1e4) is 0 in fp16 and fp32; -65504 plus a score could become
/// -inf (ane.md, section 5).
inline constexpr float kMasked = -1e4F;

/// [R*S, S]: 0 for keys up to the query's position, repeated for the heads of a group; otherwise kMasked.
[[nodiscard]] std::vector<float> causal_mask(const ModelConfig& config);

/// softmax(q k^T / sqrt(HD) + causal mask): q [1, KV, R*S, HD], k [1, KV, S, HD] -> [1, KV, R*S, S].
[[nodiscard]] mil::Var attention_probabilities(KernelWriter& kernel, mil::Var q, mil::Var k, const ModelConfig& config);

/// 1 / sqrt(HD) as a scalar.
[[nodiscard]] mil::Var score_scale(mil::Builder& mil, const ModelConfig& config);

/// Rotary position embedding of [1, heads, S, HD], on the pairs (i, i + HD/2) as in Hugging Face's models:
/// y = x cos + (x P) sin, where P rotates each pair by 90 degrees.
class Rope {
 public:
  Rope(KernelWriter& kernel, const ModelConfig& config, RopeForm form);
  /// With tables [1, 1, S, HD] of the cosines and sines of the positions.
  Rope(KernelWriter& kernel, const ModelConfig& config, RopeForm form, mil::Var cos, mil::Var sin);
  [[nodiscard]] mil::Var rotate(std::string_view name, mil::Var x);
  /// The inverse, which is also the transpose, for gradients.
  [[nodiscard]] mil::Var rotate_back(std::string_view name, mil::Var x);

 private:
  void set_form(KernelWriter& kernel, const ModelConfig& config, RopeForm form);
  [[nodiscard]] mil::Var turn_halves(std::string_view name, mil::Var x, int axis);
  mil::Var combine(mil::OpKind kind, std::string_view name, mil::Var x);
  mil::Var turn(std::string_view name, mil::Var x);

  mil::Builder* mil_;
  mil::Var cos_, sin_;
  std::optional<mil::Var> matrix_;  ///< P, unless halves are sliced
  Packing packing_ = Packing::width;
};

// ---- Attention backward, in execution order. q and k are the taps: after RoPE.

/// Gradients through the product with v.
struct ValueGradients {
  mil::Var dv;     ///< [1, KV, S, HD]
  mil::Var probs;  ///< [1, KV, R*S, S], recomputed
  mil::Var dp;     ///< likewise
};
/// Through o_proj (Wo) and the product with v: o = Wo a, a = probs v. q, k, v [1, heads, S, HD], dout [1, D, 1, S].
[[nodiscard]] ValueGradients backward_values(KernelWriter& kernel, mil::Var q, mil::Var k, mil::Var v, mil::Var dout,
                                             const ModelConfig& config);

/// Through softmax and scale: the gradient of q k^T, [1, KV, R*S, S].
[[nodiscard]] mil::Var backward_scores(mil::Builder& mil, mil::Var probs, mil::Var dp, const ModelConfig& config);

/// Through q k^T and RoPE.
struct HeadGradients {
  mil::Var dq;  ///< [1, NH, S, HD]
  mil::Var dk;  ///< [1, KV, S, HD]
};
[[nodiscard]] HeadGradients backward_rotation(mil::Builder& mil, Rope& rope, mil::Var ds, mil::Var q, mil::Var k,
                                              const ModelConfig& config);

/// Through QK-norm, if the model has one, from the kernel's tensors "q_in" and "k_in": sets the outputs "dq" and "dk",
/// the gradients of the projections, and those of the norms.
void backward_qk_norm(KernelWriter& kernel, const HeadGradients& heads, const ModelConfig& config);

/// Through the projections, from the kernel's tensors "dq", "dk" and "dv": the gradient of the normalized input.
[[nodiscard]] mil::Var backward_projections(KernelWriter& kernel);

}  // namespace ane::model
