#include <string>
#include <vector>

#include "ane/model/llama_kernels.h"

#include "llama/stages.h"

namespace ane::model {

namespace {

using Generator = KernelDefinition (*)(const ModelConfig&, const KernelOptions&);

struct Row {
  Phase phase;
  Generator generate;
};

std::vector<Row> rows(PlanChoice choice) {
  switch (choice) {
    case PlanChoice::split:
      return {{Phase::attention_forward, attn_fwd},   {Phase::ffn_forward, ffn_fwd},
              {Phase::ffn_backward, ffn_bwd},         {Phase::attention_backward, attn_bwd1},
              {Phase::attention_backward, attn_bwd2}, {Phase::attention_backward, qkv_bwd}};
    case PlanChoice::merged:
      return {{Phase::attention_forward, attn_fwd},
              {Phase::ffn_forward, ffn_fwd},
              {Phase::ffn_backward, ffn_bwd},
              {Phase::attention_backward, attn_bwd}};
  }
  return {};
}

}  // namespace

KernelPlan llama_plan(const ModelConfig& config, const KernelOptions& options) {
  std::vector<PlannedKernel> kernels;
  for (const Row& row : rows(options.plan)) kernels.push_back({row.phase, row.generate(config, options)});
  return {options.plan == PlanChoice::split ? "split" : "merged", std::move(kernels),
          contract_of(llama_stages(config))};
}

}  // namespace ane::model
