#include "ane/model/decoder.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <functional>
#include <string>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/gemm.h"
#include "ane/math/nn.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/models.h"

#include "llama/blocks.h"

namespace ane::model {

namespace {

/// The engine pads tensors to 32 columns and computes some narrower ones incorrectly (ane.md A3).
constexpr std::size_t kEngineColumns = 32;

ModelConfig of_positions(ModelConfig config, std::size_t positions) {
  config.seq_len = positions;
  return config;
}

std::shared_ptr<const ParameterReader> not_owned(const ParameterReader& reader) {
  return {std::shared_ptr<const void>(), &reader};
}

std::string layer_prefix(std::size_t layer) { return fmt::format("model.layers.{}.", layer); }

void check_finite(float magnitude, std::string_view tensor, std::size_t layer) {
  if (!std::isfinite(magnitude))
    throw DivergedError(
        fmt::format("{} of layer {} is not finite; --precision fp32 has a larger range", tensor, layer));
}

}  // namespace

/// The kernels that process a number of positions at a time, compiled for every layer, and their activations.
struct Decoder::Block {
  Block(const ModelConfig& positions_config, KernelDefinition attention_definition, const KernelOptions& options,
        const ModelContext& context, const ParameterValues& parameters)
      : config(positions_config),
        attention(std::move(attention_definition)),
        ffn(ffn_fwd(config, options)),
        x(config.dim * config.seq_len),
        normalized(x.size()),
        r(config.seq_len),
        k(config.kv_dim() * config.seq_len),
        v(k.size()) {
    for (const auto& [definition, kernels] :
         {std::pair{&attention, &attention_kernels}, std::pair{&ffn, &ffn_kernels}}) {
      KernelTemplate kind(*definition, options.element);
      for (std::size_t layer = 0; layer < config.layers; ++layer)
        kernels->push_back(kind.compile(context.device, layer_prefix(layer), parameters, context.threads));
    }
  }

  ModelConfig config;  ///< seq_len: positions at a time
  KernelDefinition attention, ffn;
  std::vector<std::unique_ptr<device::Kernel>> attention_kernels, ffn_kernels;  ///< by layer
  std::vector<float> x;                                                         ///< [D, positions] residual stream
  std::vector<float> normalized;                                                ///< likewise, the input of the kernels
  std::vector<float> r;                                                         ///< of rms_norm_forward
  std::vector<float> k, v;  ///< [KV, positions] of the last attention
};

Decoder::Decoder(const ModelConfig& config, const KernelOptions& options, const ModelContext& context,
                 const ParameterReader& reader)
    : config_(config),
      options_(options),
      context_(context),
      layout_(parameter_layout(config).part(std::not_fn(is_for_kernels))),
      parameters_(layout_.size()),
      of_kernels_(parameter_layout(config), is_for_kernels, not_owned(reader)),
      columns_(context.device.shares_cpu() ? 1 : kEngineColumns),
      logits_(config.vocab) {
  if (config.family == Family::mlp) throw UsageError("an mlp cannot generate text");
  options_.weights = WeightMode::baked;
  read_all(reader, layout_, parameters_);
}

Decoder::~Decoder() = default;

// One of the two at a time: a process may hold a limited number of programs, and the host's kernels hold the weights.
void Decoder::free(std::unique_ptr<Block>& block) {
  if (!block) return;
  block.reset();
  context_.device.release_spare_memory();
}

void Decoder::prepare_restart() {
  free(next_);
  if (!whole_)
    whole_ = std::make_unique<Block>(config_, attn_fwd(config_, options_), options_, context_,
                                     ParameterValues(layout_, parameters_, &of_kernels_));
  if (caches_.empty()) allocate_caches();
}

void Decoder::prepare_append() {
  free(whole_);
  if (next_) return;
  const ModelConfig config = of_positions(config_, columns_);
  next_ = std::make_unique<Block>(config, attn_cached(config, window(), options_), options_, context_,
                                  ParameterValues(layout_, parameters_, &of_kernels_));
}

std::span<const float> Decoder::restart(std::span<const data::Token> tokens) {
  assert(!tokens.empty() && tokens.size() <= window());
  prepare_restart();
  position_ = tokens.size();
  embed(tokens, *whole_);
  for (std::size_t layer = 0; layer < config_.layers; ++layer) {
    normalize(*whole_, layer_weight(layer, "input_layernorm"));
    surface::Surface input = context_.surfaces.acquire(whole_->attention.input.surface().size_bytes);
    attend(*whole_, layer, input);
    const auto cache = caches_[layer].map_for_write();
    const PackedView<std::byte> to{cache_layout_, cache.bytes()};
    check_finite(write_segment(to, "k_cache", whole_->k, context_.threads), "k", layer);
    check_finite(write_segment(to, "v_cache", whole_->v, context_.threads), "v", layer);
    feed_forward(*whole_, layer);
  }
  return classify(*whole_, tokens.size() - 1);
}

std::span<const float> Decoder::append(data::Token token) {
  assert(position_ > 0 && position_ < window());
  prepare_append();
  embed({&token, 1}, *next_);
  const Position here = position_tables();
  std::vector<float> column(config_.kv_dim());
  for (std::size_t layer = 0; layer < config_.layers; ++layer) {
    normalize(*next_, layer_weight(layer, "input_layernorm"));
    write_position(here, caches_[layer]);
    attend(*next_, layer, caches_[layer]);
    keep(*next_, layer, column);
    feed_forward(*next_, layer);
  }
  ++position_;
  return classify(*next_, 0);
}

void Decoder::allocate_caches() {
  cache_layout_ = attn_cached(of_positions(config_, columns_), window(), options_).input;
  for (std::size_t layer = 0; layer < config_.layers; ++layer) {
    caches_.push_back(context_.surfaces.acquire(cache_layout_.surface().size_bytes));
    std::ranges::fill(caches_.back().map_for_write().bytes(), std::byte{0});
  }
}

/// x from the tokens' rows of the embedding; zero in further columns.
void Decoder::embed(std::span<const data::Token> tokens, Block& block) {
  const std::span<const float> table = values(*layout_.find("model.embed_tokens.weight"));
  const std::size_t columns = block.config.seq_len;
  std::ranges::fill(block.x, 0.0F);
  context_.threads.parallel_for(config_.dim, 64, [&](math::Range channels) {
    for (std::size_t column = 0; column < tokens.size(); ++column) {
      const std::span<const float> row = table.subspan(tokens[column] * config_.dim, config_.dim);
      for (std::size_t channel = channels.begin; channel < channels.end; ++channel)
        block.x[channel * columns + column] = row[channel];
    }
  });
}

void Decoder::normalize(Block& block, const Parameter& weight) {
  math::rms_norm_forward(block.x, values(weight), static_cast<float>(config_.norm_eps), block.normalized, block.r,
                         context_.threads);
}

/// Runs the layer's attention on `normalized`, which becomes a part of `input`; adds its output to x.
void Decoder::attend(Block& block, std::size_t layer, surface::Surface& input) {
  surface::Surface output = run(*block.attention_kernels[layer], block.attention, block.normalized, input);
  const auto mapping = output.map_for_read();
  const PackedView<const std::byte> from{block.attention.output, mapping.bytes()};
  check_finite(read_segment_added(from, "o", block.x, block.x, context_.threads), "o", layer);
  read_segment(from, "k", block.k, context_.threads);
  read_segment(from, "v", block.v, context_.threads);
}

void Decoder::feed_forward(Block& block, std::size_t layer) {
  normalize(block, layer_weight(layer, "post_attention_layernorm"));
  surface::Surface input = context_.surfaces.acquire(block.ffn.input.surface().size_bytes);
  surface::Surface output = run(*block.ffn_kernels[layer], block.ffn, block.normalized, input);
  const auto mapping = output.map_for_read();
  const PackedView<const std::byte> from{block.ffn.output, mapping.bytes()};
  check_finite(read_segment_added(from, "y", block.x, block.x, context_.threads), "y", layer);
}

surface::Surface Decoder::run(device::Kernel& kernel, const KernelDefinition& definition, std::span<const float> xn,
                              surface::Surface& input) {
  {
    const auto mapping = input.map_for_write();
    write_segment({definition.input, mapping.bytes()}, "xn", xn, context_.threads);
  }
  surface::Surface output = context_.surfaces.acquire(definition.output.surface().size_bytes);
  const std::array inputs = {&input};
  const std::array outputs = {&output};
  kernel.run(inputs, outputs);
  return output;
}

Decoder::Position Decoder::position_tables() const {
  const std::size_t half = config_.head_dim / 2;
  Position here;
  here.mask.assign(window(), kMasked);
  std::fill_n(here.mask.begin(), position_, 0.0F);
  for (std::size_t channel = 0; channel < config_.head_dim; ++channel) {
    const double angle = static_cast<double>(position_) * config_.rope_frequency(channel % half);
    here.cos.push_back(static_cast<float>(std::cos(angle)));
    here.sin.push_back(static_cast<float>(std::sin(angle)));
  }
  return here;
}

/// Only the first column is of use; the others have no effect on it.
void Decoder::write_position(const Position& here, surface::Surface& cache) const {
  const auto mapping = cache.map_for_write();
  const PackedView<std::byte> to{cache_layout_, mapping.bytes()};
  write_column(to, "cos", 0, here.cos);
  write_column(to, "sin", 0, here.sin);
  write_segment(to, "mask", here.mask);
}

/// Adds the keys and values of the new position to the cache.
void Decoder::keep(const Block& block, std::size_t layer, std::vector<float>& column) {
  const auto mapping = caches_[layer].map_for_write();
  const PackedView<std::byte> to{cache_layout_, mapping.bytes()};
  const auto copy = [&](std::span<const float> from, std::string_view segment) {
    for (std::size_t channel = 0; channel < column.size(); ++channel)
      column[channel] = from[channel * block.config.seq_len];
    write_column(to, segment, position_, column);
  };
  copy(block.k, "k_cache");
  copy(block.v, "v_cache");
}

std::span<const float> Decoder::classify(Block& block, std::size_t column) {
  normalize(block, *layout_.find("model.norm.weight"));
  const Parameter* const own = layout_.find("lm_head.weight");
  const Parameter& classifier = own != nullptr ? *own : *layout_.find("model.embed_tokens.weight");
  std::vector<float> last(config_.dim);
  for (std::size_t channel = 0; channel < config_.dim; ++channel)
    last[channel] = block.normalized[channel * block.config.seq_len + column];
  math::gemm(config_.vocab, 1, config_.dim, 1, {values(classifier).data(), config_.dim}, {last.data(), 1}, 0,
             logits_.data(), 1, context_.threads);
  return logits_;
}

const Parameter& Decoder::layer_weight(std::size_t layer, std::string_view name) const {
  return *layout_.find(fmt::format("{}{}.weight", layer_prefix(layer), name));
}

}  // namespace ane::model
