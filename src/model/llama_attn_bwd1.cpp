#include "ane/model/llama_kernels.h"

#include "llama_blocks.h"
#include "shape.h"

namespace ane::model {

// a = probs v and o = Wo a:  da = Wo^T do,  dv = probs^T da,  dp = da v^T
KernelDefinition attn_bwd1(const LlamaConfig& config, mil::DType element) {
  const std::size_t dim = config.dim;
  const std::size_t kv_dim = config.kv_dim();
  const std::size_t seq_len = config.seq_len;
  const std::size_t score_rows = config.heads * seq_len;
  KernelWriter kernel("attn_bwd1", Direction::backward,
                      {element, seq_len, {{"q", dim}, {"k", kv_dim}, {"v", kv_dim}, {"do", dim}}},
                      {element, seq_len, {{"dv", kv_dim}, {"probs", score_rows}, {"dp", score_rows}}});
  mil::Builder& mil = kernel.mil();

  const mil::Var q_heads = split_heads(mil, "q_heads", kernel.input("q"), config);
  const mil::Var k_heads = split_heads(mil, "k_heads", kernel.input("k"), config);
  const mil::Var v_heads = split_heads(mil, "v_heads", kernel.input("v"), config);
  const mil::Var da = kernel.project("da", kernel.input("do"), "attention.wo", dim, Weight::transposed);
  const mil::Var da_heads = group_heads(mil, "da_groups", split_heads(mil, "da_heads", da, config), config);

  const mil::Var probs =
      attention_probabilities(kernel, group_heads(mil, "q_groups", q_heads, config), k_heads, config);
  const mil::Var dv_heads = mil.matmul("dv_heads", probs, da_heads, true, false);
  const mil::Var dp = mil.matmul("dp", da_heads, v_heads, false, true);

  const mil::Shape flat = shape_of({1, score_rows, 1, seq_len});
  kernel.output("dv", merge_heads(mil, "dv", dv_heads));
  kernel.output("probs", mil.reshape("probs_flat", probs, flat));
  kernel.output("dp", mil.reshape("dp_flat", dp, flat));
  return std::move(kernel).finish();
}

}  // namespace ane::model
