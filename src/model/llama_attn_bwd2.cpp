#include "ane/model/llama_kernels.h"

#include "llama_blocks.h"
#include "shape.h"

namespace ane::model {

// probs = softmax(q k^T / sqrt(HD) + mask), with q and k after RoPE:
//   ds = probs * (dp - sum over keys of probs * dp) / sqrt(HD),  dq = ds k,  dk = ds^T q
// The product for dk runs over the queries of a whole group and so sums it.
KernelDefinition attn_bwd2(const LlamaConfig& config, mil::DType element) {
  const std::size_t dim = config.dim;
  const std::size_t kv_dim = config.kv_dim();
  const std::size_t seq_len = config.seq_len;
  const std::size_t score_rows = config.heads * seq_len;
  KernelWriter kernel("attn_bwd2", Direction::backward,
                      {element, seq_len, {{"probs", score_rows}, {"dp", score_rows}, {"q", dim}, {"k", kv_dim}}},
                      {element, seq_len, {{"dq", dim}, {"dk", kv_dim}}});
  mil::Builder& mil = kernel.mil();
  Rope rope(kernel, config);

  const mil::Shape grouped = shape_of({1, config.kv_heads, config.group() * seq_len, seq_len});
  const mil::Var probs = mil.reshape("probs_groups", kernel.input("probs"), grouped);
  const mil::Var dp = mil.reshape("dp_groups", kernel.input("dp"), grouped);
  const mil::Var weighted = mil.mul("weighted", probs, dp);
  const mil::Var mean = mil.reduce(mil::OpKind::reduce_sum, "mean", weighted, {-1});
  const mil::Var centred = mil.sub("centred", dp, mean);
  const mil::Var scale = score_scale(mil, config);
  const mil::Var dscores = mil.mul("dscores", probs, centred);
  const mil::Var ds = mil.mul("ds", dscores, scale);

  const mil::Var q_heads = split_heads(mil, "q_heads", kernel.input("q"), config);
  const mil::Var k_heads = split_heads(mil, "k_heads", kernel.input("k"), config);
  const mil::Var dq_groups = mil.matmul("dq_groups", ds, k_heads);
  const mil::Var dk_rot = mil.matmul("dk_rot", ds, group_heads(mil, "q_groups", q_heads, config), true, false);
  const mil::Var dq_rot = ungroup_heads(mil, "dq_rot", dq_groups, config);

  kernel.output("dq", merge_heads(mil, "dq", rope.rotate_back("dq_heads", dq_rot)));
  kernel.output("dk", merge_heads(mil, "dk", rope.rotate_back("dk_heads", dk_rot)));
  return std::move(kernel).finish();
}

}  // namespace ane::model
