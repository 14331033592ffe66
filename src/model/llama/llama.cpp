#include "ane/model/llama.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ane/model/llama_kernels.h"

#include "initialize.h"
#include "kernels/gradient_order.h"
#include "layouts.h"
#include "llama/workspace.h"

namespace ane::model {

namespace {

constexpr double kDeviation = 0.02;  // of new weights

std::vector<std::string> layer_prefixes(std::size_t layers) {
  std::vector<std::string> prefixes;
  prefixes.reserve(layers);
  for (std::size_t layer = 0; layer < layers; ++layer) prefixes.push_back(fmt::format("model.layers.{}.", layer));
  return prefixes;
}

std::size_t slot_count(const ModelContext& context) {
  if (!context.device.shares_cpu()) return 1;
  return std::clamp<std::size_t>(context.slots, 1, static_cast<std::size_t>(context.threads.size()));
}

/// Multiply and add count as two; backward attention as five products of [S, S] with [S, HD] per head. The factors of
/// adapters take part in one product of each direction, and in two for their gradients.
Flops flops_per_step(const ModelConfig& config, const ParameterLayout& trained) {
  const auto as_double = [](std::size_t value) { return static_cast<double>(value); };
  const double dim = as_double(config.dim);
  const double seq_len = as_double(config.seq_len);
  const double layers = as_double(config.layers);
  const double attention = 2 * dim * as_double(config.q_dim() + config.kv_dim());
  const double feed_forward = 3 * dim * as_double(config.hidden);
  const double projections = 2 * seq_len * layers * (attention + feed_forward);
  const auto trained_products = [&](Role role) {
    double elements = 0;
    for (const Parameter& parameter : trained.parameters())
      if (parameter.role == role) elements += as_double(parameter.count);
    return 2 * seq_len * elements;
  };
  const double adapters = trained_products(Role::adapter);
  const std::string_view classifier = config.tied_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";

  Flops flops;
  flops.forward = projections + adapters;
  flops.backward_dx = projections + adapters;
  flops.backward_dw = trained_products(Role::matrix) + 2 * adapters;
  flops.sdpa_backward = 2 * 5 * layers * seq_len * seq_len * as_double(config.q_dim());
  flops.classifier = (trained.find(classifier) == nullptr ? 2 : 3) * 2 * seq_len * dim * as_double(config.vocab);
  return flops;
}

/// The parameters of the model without the frozen ones, then those of the adapter.
ParameterLayout trained_parameters(const ModelConfig& config, const Adapter& adapter, const FrozenParameters* frozen) {
  const ParameterLayout all = llama_parameters(config);
  ParameterLayout trained = all.part([&](const Parameter& parameter) {
    return frozen == nullptr || frozen->layout().find(parameter.name) == nullptr;
  });
  if (adapter.modules.empty()) return trained;
  const ParameterLayout factors = adapter_parameters(adapter, all);
  for (const Parameter& parameter : factors.parameters()) trained.add(parameter);
  return trained;
}

}  // namespace

Llama::Llama(const ModelConfig& config, const KernelOptions& options, const ModelContext& context)
    : config_(config),
      context_(context),
      layout_(trained_parameters(config, options.adapter, context.frozen)),
      kernels_(llama_plan(config, options), options.element, layer_prefixes(config.layers), layout_, context,
               slot_count(context)),
      order_(std::make_unique<GradientOrder>(slot_count(context))) {
  const std::size_t slots = slot_count(context);
  math::ThreadPool& threads = slots == 1 ? context_.threads : one_thread_.emplace(1);
  const ModelContext one_slot{context.device, context.surfaces, threads, context.spans, context.frozen};
  for (std::size_t slot = 0; slot < slots; ++slot)
    slots_.push_back(std::make_unique<Workspace>(config_, layout_, options.adapter, kernels_, one_slot, slot));
}

Llama::~Llama() = default;

// As in llama2.c: normal with deviation 0.02, divided by sqrt(2 L) for the two projections that feed the residual
// stream. Adapters as in PEFT: A uniform in +-1 / sqrt(in), which is Kaiming's initialization with a = sqrt(5), B zero.
void Llama::initialize(std::span<float> parameters, std::uint64_t seed) const {
  const double residual_deviation = kDeviation / std::sqrt(2.0 * static_cast<double>(config_.layers));
  for (const Parameter& parameter : layout_.parameters()) {
    const std::string_view name = parameter.name;
    const bool feeds_residual = name.ends_with(".self_attn.o_proj.weight") || name.ends_with(".mlp.down_proj.weight");
    if (name.ends_with(kLoraA)) {
      fill_uniform(parameter, seed, 1 / std::sqrt(static_cast<double>(parameter.shape.at(1))), parameters);
    } else if (parameter.role == Role::adapter) {
      std::ranges::fill(slice(parameters, parameter), 0.0F);
    } else if (parameter.role == Role::norm || parameter.role == Role::bias) {
      std::ranges::fill(slice(parameters, parameter), parameter.role == Role::norm ? 1.0F : 0.0F);
    } else {
      fill_normal(parameter, seed, feeds_residual ? residual_deviation : kDeviation, parameters, context_.threads);
    }
  }
}

ModelSummary Llama::summary() const {
  const std::size_t embedding = config_.vocab * config_.dim;
  ModelSummary summary;
  summary.embedding_parameters = config_.tied_embeddings ? embedding : 2 * embedding;
  summary.trained_parameters = layout_.parameter_count();
  const std::size_t frozen = context_.frozen == nullptr ? 0 : context_.frozen->layout().parameter_count();
  summary.transformer_parameters = layout_.parameter_count() + frozen - summary.embedding_parameters;
  summary.activation_bytes = slots_.size() * slots_.front()->memory.size();
  summary.flops_per_step = flops_per_step(config_, layout_);
  return summary;
}

std::span<const float> Llama::logits() const noexcept { return slots_.front()->logits; }

std::span<const float> Llama::residual(std::size_t layer) const { return slots_.front()->residual.at(layer + 1); }

}  // namespace ane::model
