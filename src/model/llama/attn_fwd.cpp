#include <fmt/format.h>

#include "ane/model/llama_kernels.h"

#include "llama/blocks.h"
#include "llama/qk_norm.h"

namespace ane::model {

namespace {

std::vector<Vector> attention_vectors(const ModelConfig& config) {
  std::vector<Vector> vectors = qk_norm_vectors(config);
  if (!config.has_qkv_bias()) return vectors;
  vectors.push_back({"self_attn.q_proj.bias", config.q_dim()});
  vectors.push_back({"self_attn.k_proj.bias", config.kv_dim()});
  vectors.push_back({"self_attn.v_proj.bias", config.kv_dim()});
  return vectors;
}

}  // namespace

KernelDefinition attn_fwd(const ModelConfig& config, const KernelOptions& options) {
  const std::size_t dim = config.dim;
  const std::size_t q_dim = config.q_dim();
  const std::size_t kv_dim = config.kv_dim();
  KernelWriter::Channels outputs = {{"o", dim}, {"q", q_dim}, {"k", kv_dim}, {"v", kv_dim}, {"attn", q_dim}};
  if (config.has_qk_norm()) outputs.insert(outputs.end(), {{"q_in", q_dim}, {"k_in", kv_dim}});
  KernelWriter kernel("attn_fwd", options, config.seq_len, {{"xn", dim}},
                      {{"self_attn.q_proj", q_dim, dim},
                       {"self_attn.k_proj", kv_dim, dim},
                       {"self_attn.v_proj", kv_dim, dim},
                       {"self_attn.o_proj", dim, q_dim}},
                      outputs, attention_vectors(config));
  mil::Builder& mil = kernel.mil();
  Rope rope(kernel, config, options.rope);

  const mil::Var xn = kernel.tensor("xn");
  const mil::Var queries = kernel.project("queries", xn, "self_attn.q_proj");
  const mil::Var keys = kernel.project("keys", xn, "self_attn.k_proj");
  const mil::Var v = kernel.project("v", xn, "self_attn.v_proj");

  const auto heads_of = [&](std::string_view name, mil::Var x) {
    mil::Var heads = split_heads(mil, fmt::format("{}_heads", name), x, config);
    if (config.has_qk_norm()) {
      kernel.output(fmt::format("{}_in", name), x);
      heads = normalize_heads(kernel, fmt::format("{}_normed", name), heads,
                              fmt::format("self_attn.{}_norm.weight", name), config);
    }
    return rope.rotate(fmt::format("{}_rot", name), heads);
  };
  const mil::Var q_heads = heads_of("q", queries);
  const mil::Var k_heads = heads_of("k", keys);
  const mil::Var v_heads = split_heads(mil, "v_heads", v, config);

  const mil::Var probs =
      attention_probabilities(kernel, group_heads(mil, "q_groups", q_heads, config), k_heads, config);
  const mil::Var mixed = mil.matmul("mixed", probs, v_heads);
  const mil::Var attn = merge_heads(mil, "attn", ungroup_heads(mil, "mixed_heads", mixed, config));

  kernel.output("o", kernel.project("o", attn, "self_attn.o_proj"));
  kernel.output("q", merge_heads(mil, "q", q_heads));
  kernel.output("k", merge_heads(mil, "k", k_heads));
  kernel.output("v", v);
  kernel.output("attn", attn);
  return std::move(kernel).finish();
}

}  // namespace ane::model
