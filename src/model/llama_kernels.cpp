#include "ane/model/llama_kernels.h"

namespace ane::model {

std::vector<KernelDefinition> llama_kernels(const LlamaConfig& config, mil::DType element) {
  std::vector<KernelDefinition> kernels;
  for (const auto generate : {attn_fwd, ffn_fwd, ffn_bwd, attn_bwd1, attn_bwd2, qkv_bwd})
    kernels.push_back(generate(config, element));
  return kernels;
}

}  // namespace ane::model
