#include "llama/workspace.h"

#include <algorithm>
#include <cassert>
#include <string>

#include <fmt/format.h>

#include "ane/core/checked.h"

#include "kernels/activation_memory.h"

namespace ane::model {

namespace {

constexpr std::size_t kActivationAlignment = 16;  // elements: 64 bytes

std::string of_layer(std::size_t layer, std::string_view name) {
  return fmt::format("model.layers.{}.{}", layer, name);
}

/// A parameter, trained or frozen.
const Parameter& find(const ParameterLayout& trained, const FrozenParameters* frozen, std::string_view name) {
  const Parameter* const found = ParameterValues(trained, {}, frozen).find(name);
  assert(found != nullptr);
  return *found;
}

/// Removes the products and sums of parameters that no layer trains; a product also stays for an adapter of its matrix.
std::vector<Stage> with_gradients_of(const ParameterLayout& trained, std::vector<Stage> stages, std::size_t layers) {
  const auto is_trained = [&](std::string_view name) {
    for (std::size_t layer = 0; layer < layers; ++layer)
      if (trained.find(of_layer(layer, name)) != nullptr) return true;
    return false;
  };
  for (Stage& stage : stages) {
    auto* const kernels = std::get_if<KernelStage>(&stage);
    if (kernels == nullptr) continue;
    std::erase_if(kernels->products, [&](const WeightProduct& product) {
      return !is_trained(fmt::format("{}.weight", product.weight)) &&
             !is_trained(fmt::format("{}{}", product.weight, kLoraA));
    });
    std::erase_if(kernels->sums, [&](const ChannelSum& sum) { return !is_trained(sum.parameter); });
  }
  return stages;
}

std::size_t channels(const KernelPlan& plan, Phase phase, std::string_view tensor) {
  return plan.kernels()[plan.maker(phase, tensor).value()].definition.output.at(tensor).channels;
}

}  // namespace

Llama::Workspace::Workspace(const ModelConfig& config, const ParameterLayout& trained, const Adapter& adapter,
                            KernelBank& kernels, const ModelContext& context, std::size_t slot)
    : threads(context.threads),
      frozen(context.frozen),
      embedding(find(trained, frozen, "model.embed_tokens.weight")),
      norm(find(trained, frozen, "model.norm.weight")),
      classifier(config.tied_embeddings ? embedding : find(trained, frozen, "lm_head.weight")),
      runner(kernels, context, slot),
      layers(config.layers),
      residual(config.layers + 1),
      losses(config.seq_len),
      products(context) {
  last_products.resize(config.layers);
  operands.resize(products.run_beside() ? 2 : 1);
  const std::vector<Stage> stages = with_gradients_of(trained, llama_stages(config), config.layers);
  std::vector<Activations> activations(config.layers);
  std::size_t size = 0;
  lay_out(config, stages, adapter.rank, kernels.plan(), activations,
          [&](std::span<float>& /*part*/, std::size_t count) { size += round_up(count, kActivationAlignment); });
  memory = activation_memory(size);
  const std::span<float> all(reinterpret_cast<float*>(memory.data()), size);
  std::size_t begin = 0;
  lay_out(config, stages, adapter.rank, kernels.plan(), activations, [&](std::span<float>& part, std::size_t count) {
    part = all.subspan(begin, count);
    begin += round_up(count, kActivationAlignment);
  });
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    for (const Stage& stage : stages) {
      if (const auto* const norm_stage = std::get_if<NormStage>(&stage)) {
        const std::string weight = of_layer(layer, fmt::format("{}.weight", norm_stage->weight));
        layers[layer].emplace_back(bind(*norm_stage, layer, find(trained, frozen, weight), activations[layer]));
      } else {
        layers[layer].emplace_back(bind(std::get<KernelStage>(stage), layer, trained, adapter, activations[layer]));
      }
    }
  }
}

/// Calls take(part, number of its elements) for each part, always in the same order.
template <class Take>
void Llama::Workspace::lay_out(const ModelConfig& config, std::span<const Stage> stages, std::size_t rank,
                               const KernelPlan& plan, std::vector<Activations>& activations, const Take& take) {
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
      if (rank == 0) continue;
      for (const WeightProduct& product : kernels->products)
        for (std::span<float>& part : set.low_rank[product.weight]) take(part, rank * config.seq_len);
    }
  }
  for (std::span<float>* part : {&final_in, &dfinal_rows, &dnorm}) take(*part, wide);
  take(final_r, config.seq_len);
  take(logits, config.seq_len * config.vocab);
  if (classifier.is_frozen) take(classifier_rows, std::min(kFrozenRows, config.vocab) * config.dim);
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
                                                     const ParameterLayout& trained, const Adapter& adapter,
                                                     const Activations& activations) {
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
                      .adapters = {},
                      .sums = {}};
  for (const std::string_view tensor : outputs_read(stage))
    kernels.backward_wanted.push_back({tensor, set.outputs.at(tensor)});
  kernels.backward_wanted.push_back({kKernelInputGradient, dnorm});

  const auto operand = [&](std::string_view tensor) -> std::span<const float> {
    if (tensor == stage.gradient) return dy;
    if (tensor == stage.input) return tensors.at(tensor);
    return set.outputs.at(tensor);
  };
  const auto trained_of = [&](std::string_view name, std::string_view suffix) {
    return trained.find(of_layer(layer, fmt::format("{}{}", name, suffix)));
  };
  for (const WeightProduct& product : stage.products) {
    if (const Parameter* const matrix = trained_of(product.weight, ".weight"))
      kernels.products.push_back({matrix, operand(product.dy), operand(product.x)});
    if (const Parameter* const a = trained_of(product.weight, kLoraA)) {
      const auto& [ax, btdy] = set.low_rank.at(product.weight);
      kernels.adapters.push_back({.a = a,
                                  .b = trained_of(product.weight, kLoraB),
                                  .scale = static_cast<float>(adapter.scale()),
                                  .dy = operand(product.dy),
                                  .x = operand(product.x),
                                  .ax = ax,
                                  .btdy = btdy});
    }
  }
  for (const ChannelSum& sum : stage.sums)
    if (const Parameter* const parameter = trained_of(sum.parameter, ""))
      kernels.sums.push_back({parameter, operand(sum.terms)});
  return kernels;
}

}  // namespace ane::model
