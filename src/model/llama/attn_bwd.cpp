#include "ane/model/llama_kernels.h"

#include "llama/blocks.h"
#include "llama/qk_norm.h"
#include "shape.h"

namespace ane::model {

namespace {

using Activations = KernelWriter::Activations;

/// `tensors` with `more` if the model has QK-norm.
Activations with_qk_norm(Activations tensors, const ModelConfig& config, const Activations& more) {
  if (config.has_qk_norm()) tensors.insert(tensors.end(), more.begin(), more.end());
  return tensors;
}

Activations before_qk_norm(const ModelConfig& config) { return {{"q_in", config.q_dim()}, {"k_in", config.kv_dim()}}; }

Activations qk_norm_terms(const ModelConfig& config) {
  return {{"q_norm_terms", config.q_dim()}, {"k_norm_terms", config.kv_dim()}};
}

}  // namespace

KernelDefinition attn_bwd1(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t q_dim = config.q_dim();
  const std::size_t kv_dim = config.kv_dim();
  const std::size_t seq_len = config.seq_len;
  const std::size_t score_rows = config.heads * seq_len;
  KernelWriter kernel("attn_bwd1", options, seq_len, {{"q", q_dim}, {"k", kv_dim}, {"v", kv_dim}, {"do", dim}},
                      {{"self_attn.o_proj", q_dim, dim, Weight::transposed}},
                      {{"dv", kv_dim}, {"probs", score_rows}, {"dp", score_rows}});
  mil::Builder& mil = kernel.mil();

  const mil::Var q_heads = split_heads(mil, "q_heads", kernel.tensor("q"), config);
  const mil::Var k_heads = split_heads(mil, "k_heads", kernel.tensor("k"), config);
  const mil::Var v_heads = split_heads(mil, "v_heads", kernel.tensor("v"), config);
  const ValueGradients values = backward_values(kernel, q_heads, k_heads, v_heads, kernel.tensor("do"), config);

  const mil::Shape flat = shape_of({1, score_rows, 1, seq_len});
  kernel.output("dv", merge_heads(mil, "dv", values.dv));
  kernel.output("probs", mil.reshape("probs_flat", values.probs, flat));
  kernel.output("dp", mil.reshape("dp_flat", values.dp, flat));
  return std::move(kernel).finish();
}

KernelDefinition attn_bwd2(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t q_dim = config.q_dim();
  const std::size_t kv_dim = config.kv_dim();
  const std::size_t seq_len = config.seq_len;
  const std::size_t score_rows = config.heads * seq_len;
  KernelWriter kernel("attn_bwd2", options, seq_len,
                      {{"probs", score_rows}, {"dp", score_rows}, {"q", q_dim}, {"k", kv_dim}}, {},
                      config.has_qk_norm() ? Activations{{"dq_heads", q_dim}, {"dk_heads", kv_dim}}
                                           : Activations{{"dq", q_dim}, {"dk", kv_dim}});
  mil::Builder& mil = kernel.mil();
  Rope rope(kernel, config, options.rope);

  const mil::Shape grouped = shape_of({1, config.kv_heads, config.group() * seq_len, seq_len});
  const mil::Var probs = mil.reshape("probs_groups", kernel.tensor("probs"), grouped);
  const mil::Var dp = mil.reshape("dp_groups", kernel.tensor("dp"), grouped);
  const mil::Var ds = backward_scores(mil, probs, dp, config);
  const mil::Var q_heads = split_heads(mil, "q_heads", kernel.tensor("q"), config);
  const mil::Var k_heads = split_heads(mil, "k_heads", kernel.tensor("k"), config);
  const HeadGradients heads = backward_rotation(mil, rope, ds, q_heads, k_heads, config);

  if (config.has_qk_norm()) {  // qkv_bwd continues, because it has weights anyway
    kernel.output("dq_heads", merge_heads(mil, "dq_merged", heads.dq));
    kernel.output("dk_heads", merge_heads(mil, "dk_merged", heads.dk));
  } else {
    backward_qk_norm(kernel, heads, config);
  }
  return std::move(kernel).finish();
}

KernelDefinition qkv_bwd(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t q_dim = config.q_dim();
  const std::size_t kv_dim = config.kv_dim();
  const Activations gradients = config.has_qk_norm()
                                    ? Activations{{"dq_heads", q_dim}, {"dk_heads", kv_dim}, {"dv", kv_dim}}
                                    : Activations{{"dq", q_dim}, {"dk", kv_dim}, {"dv", kv_dim}};
  Activations outputs = with_qk_norm({{"dxn", dim}}, config, {{"dq", q_dim}, {"dk", kv_dim}});
  outputs = with_qk_norm(outputs, config, qk_norm_terms(config));
  KernelWriter kernel("qkv_bwd", options, config.seq_len, with_qk_norm(gradients, config, before_qk_norm(config)),
                      {{"self_attn.q_proj", dim, q_dim, Weight::transposed},
                       {"self_attn.k_proj", dim, kv_dim, Weight::transposed},
                       {"self_attn.v_proj", dim, kv_dim, Weight::transposed}},
                      outputs, qk_norm_vectors(config));
  if (config.has_qk_norm()) {
    mil::Builder& mil = kernel.mil();
    const mil::Var dq = split_heads(mil, "dq_split", kernel.tensor("dq_heads"), config);
    const mil::Var dk = split_heads(mil, "dk_split", kernel.tensor("dk_heads"), config);
    backward_qk_norm(kernel, {dq, dk}, config);
  }
  kernel.output("dxn", backward_projections(kernel));
  return std::move(kernel).finish();
}

KernelDefinition attn_bwd(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t q_dim = config.q_dim();
  const std::size_t kv_dim = config.kv_dim();
  const Activations inputs = {{"q", q_dim}, {"k", kv_dim}, {"v", kv_dim}, {"do", dim}};
  const Activations outputs = {{"dxn", dim}, {"dq", q_dim}, {"dk", kv_dim}, {"dv", kv_dim}};
  KernelWriter kernel("attn_bwd", options, config.seq_len, with_qk_norm(inputs, config, before_qk_norm(config)),
                      {{"self_attn.o_proj", q_dim, dim, Weight::transposed},
                       {"self_attn.q_proj", dim, q_dim, Weight::transposed},
                       {"self_attn.k_proj", dim, kv_dim, Weight::transposed},
                       {"self_attn.v_proj", dim, kv_dim, Weight::transposed}},
                      with_qk_norm(outputs, config, qk_norm_terms(config)), qk_norm_vectors(config));
  mil::Builder& mil = kernel.mil();
  Rope rope(kernel, config, options.rope);

  const mil::Var q_heads = split_heads(mil, "q_heads", kernel.tensor("q"), config);
  const mil::Var k_heads = split_heads(mil, "k_heads", kernel.tensor("k"), config);
  const mil::Var v_heads = split_heads(mil, "v_heads", kernel.tensor("v"), config);
  const ValueGradients values = backward_values(kernel, q_heads, k_heads, v_heads, kernel.tensor("do"), config);
  const mil::Var ds = backward_scores(mil, values.probs, values.dp, config);
  const HeadGradients heads = backward_rotation(mil, rope, ds, q_heads, k_heads, config);

  kernel.output("dv", merge_heads(mil, "dv", values.dv));
  backward_qk_norm(kernel, heads, config);
  kernel.output("dxn", backward_projections(kernel));
  return std::move(kernel).finish();
}

}  // namespace ane::model
