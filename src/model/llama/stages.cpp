#include "llama/stages.h"

#include <algorithm>
#include <string>

namespace ane::model {

namespace {

std::vector<ChannelSum> attention_sums(const ModelConfig& config) {
  std::vector<ChannelSum> sums;
  if (config.has_qkv_bias()) {
    sums = {{"self_attn.q_proj.bias", "dq"}, {"self_attn.k_proj.bias", "dk"}, {"self_attn.v_proj.bias", "dv"}};
  }
  if (config.has_qk_norm()) {
    sums.push_back({"self_attn.q_norm.weight", "q_norm_terms"});
    sums.push_back({"self_attn.k_norm.weight", "k_norm_terms"});
  }
  return sums;
}

}  // namespace

std::vector<Stage> llama_stages(const ModelConfig& config) {
  return {
      NormStage{.weight = "input_layernorm", .input = kLayerInput, .output = "attn_in", .around = "h"},
      KernelStage{.forward = Phase::attention_forward,
                  .backward = Phase::attention_backward,
                  .input = "attn_in",
                  .result = "o",
                  .residual = kLayerInput,
                  .output = "h",
                  .gradient = "do",
                  .products = {{"self_attn.o_proj", "do", "attn"},
                               {"self_attn.q_proj", "dq", "attn_in"},
                               {"self_attn.k_proj", "dk", "attn_in"},
                               {"self_attn.v_proj", "dv", "attn_in"}},
                  .sums = attention_sums(config)},
      NormStage{.weight = "post_attention_layernorm", .input = "h", .output = "ffn_in", .around = "y"},
      KernelStage{.forward = Phase::ffn_forward,
                  .backward = Phase::ffn_backward,
                  .input = "ffn_in",
                  .result = "y",
                  .residual = "h",
                  .output = "y",
                  .gradient = "dy",
                  .products = {{"mlp.down_proj", "dy", "gate"},
                               {"mlp.gate_proj", "dh1", "ffn_in"},
                               {"mlp.up_proj", "dh3", "ffn_in"}},
                  .sums = {}},
  };
}

std::vector<std::string_view> outputs_read(const KernelStage& stage) {
  std::vector<std::string_view> names;
  const auto add = [&](std::string_view tensor) {
    const bool of_cpu = tensor == stage.gradient || tensor == stage.input;
    if (!of_cpu && std::ranges::count(names, tensor) == 0) names.push_back(tensor);
  };
  for (const WeightProduct& product : stage.products) {
    add(product.dy);
    add(product.x);
  }
  for (const ChannelSum& sum : stage.sums) add(sum.terms);
  return names;
}

std::vector<PhaseContract> contract_of(std::span<const Stage> stages) {
  std::vector<PhaseContract> contract;
  for (const Stage& stage : stages) {
    const auto* const kernels = std::get_if<KernelStage>(&stage);
    if (kernels == nullptr) continue;
    contract.push_back({kernels->forward, {std::string(kKernelInput)}, {std::string(kernels->result)}});
    PhaseContract backward{kernels->backward, {std::string(kernels->gradient)}, {}};
    for (const std::string_view tensor : outputs_read(*kernels)) backward.wanted.emplace_back(tensor);
    backward.wanted.emplace_back(kKernelInputGradient);
    contract.push_back(std::move(backward));
  }
  return contract;
}

}  // namespace ane::model
