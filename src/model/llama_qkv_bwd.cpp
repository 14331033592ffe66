#include "ane/model/llama_kernels.h"

#include "kernel_writer.h"

namespace ane::model {

KernelDefinition qkv_bwd(const LlamaConfig& config, mil::DType element) {
  const std::size_t dim = config.dim;
  const std::size_t kv_dim = config.kv_dim();
  KernelWriter kernel("qkv_bwd", Direction::backward,
                      {element, config.seq_len, {{"dq", dim}, {"dk", kv_dim}, {"dv", kv_dim}}},
                      {element, config.seq_len, {{"dxn", dim}}});
  mil::Builder& mil = kernel.mil();

  const mil::Var from_q = kernel.project("from_q", kernel.input("dq"), "attention.wq", dim, Weight::transposed);
  const mil::Var from_k = kernel.project("from_k", kernel.input("dk"), "attention.wk", dim, Weight::transposed);
  const mil::Var from_v = kernel.project("from_v", kernel.input("dv"), "attention.wv", dim, Weight::transposed);
  kernel.output("dxn", mil.add("dxn", mil.add("from_qk", from_q, from_k), from_v));
  return std::move(kernel).finish();
}

}  // namespace ane::model
