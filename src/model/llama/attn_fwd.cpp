#include <fmt/format.h>

#include "ane/model/llama_kernels.h"

#include "llama/blocks.h"
#include "llama/qk_norm.h"
#include "shape.h"

namespace ane::model {

namespace {

std::vector<Matrix> attention_matrices(const ModelConfig& config) {
  return {{"self_attn.q_proj", config.q_dim(), config.dim},
          {"self_attn.k_proj", config.kv_dim(), config.dim},
          {"self_attn.v_proj", config.kv_dim(), config.dim},
          {"self_attn.o_proj", config.dim, config.q_dim()}};
}

std::vector<Vector> attention_vectors(const ModelConfig& config) {
  std::vector<Vector> vectors = qk_norm_vectors(config);
  if (!config.has_qkv_bias()) return vectors;
  vectors.push_back({"self_attn.q_proj.bias", config.q_dim()});
  vectors.push_back({"self_attn.k_proj.bias", config.kv_dim()});
  vectors.push_back({"self_attn.v_proj.bias", config.kv_dim()});
  return vectors;
}

/// Heads [1, heads, S, HD] of projections, normalized if the model does so, and rotated.
class Projections {
 public:
  /// Of the kernel's tensor "xn".
  Projections(KernelWriter& kernel, const ModelConfig& config) : kernel_(&kernel), config_(&config) {
    const mil::Var xn = kernel.tensor("xn");
    queries = kernel.project("queries", xn, "self_attn.q_proj");
    keys = kernel.project("keys", xn, "self_attn.k_proj");
    values = kernel.project("v", xn, "self_attn.v_proj");
  }

  void split(Rope& rope) {
    q_heads = heads_of("q", queries, rope);
    k_heads = heads_of("k", keys, rope);
    v_heads = split_heads(kernel_->mil(), "v_heads", values, *config_);
  }

  mil::Var queries, keys, values;  ///< [1, channels, 1, S]
  mil::Var q_heads, k_heads, v_heads;

 private:
  [[nodiscard]] mil::Var heads_of(std::string_view name, mil::Var x, Rope& rope) const {
    mil::Var heads = split_heads(kernel_->mil(), fmt::format("{}_heads", name), x, *config_);
    if (config_->has_qk_norm())
      heads = normalize_heads(*kernel_, fmt::format("{}_normed", name), heads,
                              fmt::format("self_attn.{}_norm.weight", name), *config_);
    return rope.rotate(fmt::format("{}_rot", name), heads);
  }

  KernelWriter* kernel_;
  const ModelConfig* config_;
};

mil::Var merged(mil::Builder& mil, mil::Var mixed, const ModelConfig& config) {
  return merge_heads(mil, "attn", ungroup_heads(mil, "mixed_heads", mixed, config));
}

}  // namespace

KernelDefinition attn_fwd(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t q_dim = config.q_dim();
  const std::size_t kv_dim = config.kv_dim();
  KernelWriter::Activations outputs = {{"o", dim}, {"q", q_dim}, {"k", kv_dim}, {"v", kv_dim}, {"attn", q_dim}};
  if (config.has_qk_norm()) outputs.insert(outputs.end(), {{"q_in", q_dim}, {"k_in", kv_dim}});
  KernelWriter kernel("attn_fwd", options, config.seq_len, {{"xn", dim}}, attention_matrices(config), outputs,
                      attention_vectors(config));
  mil::Builder& mil = kernel.mil();
  Rope rope(kernel, config, options.rope);
  Projections x(kernel, config);
  x.split(rope);
  const mil::Var probs =
      attention_probabilities(kernel, group_heads(mil, "q_groups", x.q_heads, config), x.k_heads, config);
  const mil::Var attn = merged(mil, mil.matmul("mixed", probs, x.v_heads), config);

  kernel.output("o", kernel.project("o", attn, "self_attn.o_proj"));
  kernel.output("q", merge_heads(mil, "q", x.q_heads));
  kernel.output("k", merge_heads(mil, "k", x.k_heads));
  kernel.output("v", x.values);
  kernel.output("attn", attn);
  if (config.has_qk_norm()) {
    kernel.output("q_in", x.queries);
    kernel.output("k_in", x.keys);
  }
  return std::move(kernel).finish();
}

// softmax over the keys of the cache and the new ones, without joining them: both parts are divided by the same sum.
KernelDefinition attn_cached(const ModelConfig& config, std::size_t window, const KernelOptions& options) {
  const std::size_t kv_dim = config.kv_dim();
  const std::size_t seq_len = config.seq_len;
  KernelWriter kernel("attn_cached", options, seq_len,
                      {{"xn", config.dim},
                       {"cos", config.head_dim},
                       {"sin", config.head_dim},
                       {"mask", 1, window},
                       {"k_cache", kv_dim, window},
                       {"v_cache", kv_dim, window}},
                      attention_matrices(config), {{"o", config.dim}, {"k", kv_dim}, {"v", kv_dim}},
                      attention_vectors(config));
  mil::Builder& mil = kernel.mil();
  const mil::Var cos = mil.transpose("cos_rows", kernel.tensor("cos"), {0, 2, 3, 1});
  const mil::Var sin = mil.transpose("sin_rows", kernel.tensor("sin"), {0, 2, 3, 1});
  Rope rope(kernel, config, options.rope, cos, sin);
  Projections x(kernel, config);
  x.split(rope);

  const mil::Shape cached = shape_of({1, config.kv_heads, config.head_dim, window});
  const mil::Var k_cache = mil.reshape("k_cache_heads", kernel.tensor("k_cache"), cached);
  const mil::Var v_cache = mil.reshape("v_cache_heads", kernel.tensor("v_cache"), cached);
  const mil::Var q = group_heads(mil, "q_groups", x.q_heads, config);
  const mil::Var scale = score_scale(mil, config);
  const mil::Var old_scaled = mil.mul("old_scaled", mil.matmul("old_scores", q, k_cache), scale);
  const mil::Var old_scores = mil.add("old_masked", old_scaled, kernel.tensor("mask"));
  const mil::Var new_scaled = mil.mul("new_scaled", mil.matmul("new_scores", q, x.k_heads, false, true), scale);
  const mil::Var mask =
      kernel.constant("causal_mask", shape_of({1, 1, config.group() * seq_len, seq_len}), causal_mask(config));
  const mil::Var new_scores = mil.add("new_masked", new_scaled, mask);

  const mil::Var old_largest = mil.reduce(mil::OpKind::reduce_max, "old_largest", old_scores, {kKeyAxis});
  const mil::Var new_largest = mil.reduce(mil::OpKind::reduce_max, "new_largest", new_scores, {kKeyAxis});
  const mil::Var largest = mil.binary(mil::OpKind::maximum, "largest", old_largest, new_largest);
  const mil::Var old_weights = mil.unary(mil::OpKind::exp, "old_weights", mil.sub("old_shifted", old_scores, largest));
  const mil::Var new_weights = mil.unary(mil::OpKind::exp, "new_weights", mil.sub("new_shifted", new_scores, largest));
  const mil::Var old_sum = mil.reduce(mil::OpKind::reduce_sum, "old_sum", old_weights, {kKeyAxis});
  const mil::Var new_sum = mil.reduce(mil::OpKind::reduce_sum, "new_sum", new_weights, {kKeyAxis});
  const mil::Var old_mixed = mil.matmul("old_mixed", old_weights, v_cache, false, true);
  const mil::Var new_mixed = mil.matmul("new_mixed", new_weights, x.v_heads);
  const mil::Var mixed = mil.binary(mil::OpKind::real_div, "mixed", mil.add("all_mixed", old_mixed, new_mixed),
                                    mil.add("sum", old_sum, new_sum));

  kernel.output("o", kernel.project("o", merged(mil, mixed, config), "self_attn.o_proj"));
  kernel.output("k", merge_heads(mil, "k", x.k_heads));
  kernel.output("v", x.values);
  return std::move(kernel).finish();
}

}  // namespace ane::model
