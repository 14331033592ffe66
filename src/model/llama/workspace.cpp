#include "llama/workspace.h"

#include <cassert>

#include <fmt/format.h>

#include "ane/core/checked.h"

#include "kernels/activation_memory.h"

namespace ane::model {

namespace {

constexpr std::size_t kActivationAlignment = 16;  // elements: 64 bytes

const Parameter& find(const ParameterLayout& layout, std::string_view name) {
  const Parameter* const found = layout.find(name);
  assert(found != nullptr);
  return *found;
}

/// A parameter of a layer, by its name with its suffix.
const Parameter& find(const ParameterLayout& layout, std::size_t layer, std::string_view name) {
  return find(layout, fmt::format("model.layers.{}.{}", layer, name));
}

const Parameter& find_weight(const ParameterLayout& layout, std::size_t layer, std::string_view name) {
  return find(layout, layer, fmt::format("{}.weight", name));
}

std::size_t channels(const KernelPlan& plan, Phase phase, std::string_view tensor) {
  return plan.kernels()[plan.maker(phase, tensor).value()].definition.output.at(tensor).channels;
}

}  // namespace

Llama::Workspace::Workspace(const ModelConfig& config, const ParameterLayout& layout, KernelBank& kernels,
                            const ModelContext& context, std::size_t slot)
    : threads(context.threads),
      embedding(find(layout, "model.embed_tokens.weight")),
      norm(find(layout, "model.norm.weight")),
      classifier(config.tied_embeddings ? embedding : find(layout, "lm_head.weight")),
      runner(kernels, context, slot),
      layers(config.layers),
      residual(config.layers + 1),
      losses(config.seq_len),
      products(context) {
  operands.resize(products.run_beside() ? 2 : 1);
  const std::vector<Stage> stages = llama_stages(config);
  std::vector<Activations> activations(config.layers);
  std::size_t size = 0;
  lay_out(config, stages, kernels.plan(), activations,
          [&](std::span<float>& /*part*/, std::size_t count) { size += round_up(count, kActivationAlignment); });
  memory = activation_memory(size);
  const std::span<float> all(reinterpret_cast<float*>(memory.data()), size);
  std::size_t begin = 0;
  lay_out(config, stages, kernels.plan(), activations, [&](std::span<float>& part, std::size_t count) {
    part = all.subspan(begin, count);
    begin += round_up(count, kActivationAlignment);
  });
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    for (const Stage& stage : stages) {
      if (const auto* const norm_stage = std::get_if<NormStage>(&stage)) {
        layers[layer].emplace_back(
            bind(*norm_stage, layer, find_weight(layout, layer, norm_stage->weight), activations[layer]));
      } else {
        layers[layer].emplace_back(bind(std::get<KernelStage>(stage), layer, layout, activations[layer]));
      }
    }
  }
}

/// Calls take(part, number of its elements) for each part, always in the same order.
template <class Take>
void Llama::Workspace::lay_out(const ModelConfig& config, std::span<const Stage> stages, const KernelPlan& plan,
                               std::vector<Activations>& activations, const Take& take) {
  const std::size_t wide = config.dim * config.seq_len;
  take(residual.front(), wide);
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    auto& [tensors, r] = activations[layer];
    tensors[kLayerInput] = residual[layer];
    std::string_view last;
    for (const Stage& stage : stages) {
      last = std::visit([](const auto& either) { return either.output; }, stage);
      take(tensors[last], wide);
      if (std::holds_alternative<NormStage>(stage)) take(r[last], config.seq_len);
    }
    residual[layer + 1] = tensors[last];
  }
  for (Operands& set : operands) {
    for (const Stage& stage : stages) {
      const auto* const kernels = std::get_if<KernelStage>(&stage);
      if (kernels == nullptr) continue;
      take(set.gradients[kernels->output], wide);
      set.dy = set.gradients[kernels->output];
      for (const std::string_view tensor : outputs_read(*kernels))
        take(set.outputs[tensor], channels(plan, kernels->backward, tensor) * config.seq_len);
    }
  }
  for (std::span<float>* part : {&final_in, &dfinal_rows, &dnorm}) take(*part, wide);
  take(final_r, config.seq_len);
  take(logits, config.seq_len * config.vocab);
}

Llama::Workspace::NormState Llama::Workspace::bind(const NormStage& stage, std::size_t layer, const Parameter& weight,
                                                   const Activations& activations) {
  const bool begins_layer = stage.input == kLayerInput;
  Operands& set = operands_of(layer);
  return {.weight = &weight,
          .input = activations.tensors.at(stage.input),
          .output = activations.tensors.at(stage.output),
          .r = activations.r.at(stage.output),
          .around = set.gradients.at(stage.around),
          .gradient = begins_layer ? operands_below(layer).dy : set.gradients.at(stage.input),
          .begins_layer = begins_layer};
}

Llama::Workspace::KernelState Llama::Workspace::bind(const KernelStage& stage, std::size_t layer,
                                                     const ParameterLayout& layout, const Activations& activations) {
  const auto& tensors = activations.tensors;  // no structured binding, because a lambda captures it
  Operands& set = operands_of(layer);
  const std::span<const float> dy = set.gradients.at(stage.output);
  KernelState kernels{.forward = stage.forward,
                      .backward = stage.backward,
                      .forward_given = {{{kKernelInput, tensors.at(stage.input)}}},
                      .backward_given = {{{stage.gradient, dy}}},
                      .forward_wanted = {{{stage.result, tensors.at(stage.output), tensors.at(stage.residual)}}},
                      .backward_wanted = {},
                      .products = {},
                      .sums = {}};
  for (const std::string_view tensor : outputs_read(stage))
    kernels.backward_wanted.push_back({tensor, set.outputs.at(tensor)});
  kernels.backward_wanted.push_back({kKernelInputGradient, dnorm});

  const auto operand = [&](std::string_view tensor) -> std::span<const float> {
    if (tensor == stage.gradient) return dy;
    if (tensor == stage.input) return tensors.at(tensor);
    return set.outputs.at(tensor);
  };
  for (const WeightProduct& product : stage.products)
    kernels.products.push_back({&find_weight(layout, layer, product.weight), operand(product.dy), operand(product.x)});
  for (const ChannelSum& sum : stage.sums)
    kernels.sums.push_back({&find(layout, layer, sum.parameter), operand(sum.terms)});
  return kernels;
}

}  // namespace ane::model
