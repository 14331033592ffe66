#include "ane/model/config.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane::model {

namespace {

constexpr std::size_t kMaxLayers = 1024;
constexpr std::size_t kMaxElements = (std::size_t{1} << 31U) - 1;  // of one tensor

void check_positive(std::string_view field, std::size_t value) {
  if (value == 0) throw UsageError(fmt::format("{} is 0, but it must be at least 1", field));
}

/// `what` names the tensor with these two factors.
void check_product(std::string_view what, std::size_t a, std::size_t b) {
  const auto product = checked_mul(a, b);
  if (!product || *product > kMaxElements)
    throw UsageError(
        fmt::format("{} would have {} x {} elements, but a tensor may have at most {}", what, a, b, kMaxElements));
}

void check_above_zero(std::string_view field, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw UsageError(fmt::format("{} is {}, but it must be a finite number above 0", field, value));
}

void check_scaling(const RopeScaling& scaling) {
  check_above_zero("the factor of RoPE's scaling", scaling.factor);
  check_above_zero("low_freq_factor", scaling.low_freq_factor);
  check_above_zero("high_freq_factor", scaling.high_freq_factor);
  check_positive("original_max_position_embeddings", scaling.original_positions);
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    throw UsageError(fmt::format("high_freq_factor is {} and low_freq_factor is {}, but the former must be larger",
                                 scaling.high_freq_factor, scaling.low_freq_factor));
}

void check_llama(const ModelConfig& config) {
  check_positive("dim", config.dim);
  check_positive("hidden", config.hidden);
  check_positive("layers", config.layers);
  check_positive("heads", config.heads);
  check_positive("kv_heads", config.kv_heads);
  check_positive("head_dim", config.head_dim);
  check_positive("vocab", config.vocab);
  check_positive("seq_len", config.seq_len);
  check_above_zero("norm_eps", config.norm_eps);
  check_above_zero("rope_theta", config.rope_theta);

  if (config.rope_scaling) check_scaling(*config.rope_scaling);

  if (config.layers > kMaxLayers)
    throw UsageError(fmt::format("layers is {}, but at most {} are supported", config.layers, kMaxLayers));
  if (config.heads % config.kv_heads != 0)
    throw UsageError(
        fmt::format("heads is {} and kv_heads is {}, but kv_heads must divide heads", config.heads, config.kv_heads));
  if (config.head_dim % 2 != 0)
    throw UsageError(fmt::format("head_dim is {}, but it must be even: RoPE rotates pairs", config.head_dim));

  check_product("the queries of all heads", config.heads, config.head_dim);
  check_product("the embedding", config.vocab, config.dim);
  check_product("an attention projection", config.q_dim(), config.dim);
  check_product("a feed-forward projection", config.hidden, config.dim);
  check_product("a table of RoPE", config.seq_len, config.head_dim);
}

void check_llama_sequence(const ModelConfig& config) {
  check_product("the logits", config.seq_len, config.vocab);
  // ffn_bwd packs dy, h1 and h3, attn_bwd2 the probabilities, their gradient, q and k: the widest surfaces.
  check_product("a sequence", config.seq_len, 4 * (config.dim + config.hidden));
  check_product("the queries of a sequence", config.seq_len, 4 * config.q_dim());
  check_product("a row of attention scores", config.seq_len, 4 * config.heads);
  check_product("the attention scores", config.seq_len, config.seq_len * 4 * config.heads);
}

void check_mlp_sequence(const ModelConfig& config) {
  check_product("an activation", config.seq_len, config.dim);
  check_product("an activation", config.seq_len, config.hidden);
}

void check_mlp(const ModelConfig& config) {
  check_positive("dim", config.dim);
  check_positive("hidden", config.hidden);
  check_positive("seq_len", config.seq_len);
  check_product("a projection", config.hidden, config.dim);
}

}  // namespace

std::string_view name(Family family) noexcept {
  switch (family) {
    case Family::llama:
      return "llama";
    case Family::qwen2:
      return "qwen2";
    case Family::qwen3:
      return "qwen3";
    case Family::mlp:
      return "mlp";
  }
  return "";
}

double ModelConfig::rope_frequency(std::size_t pair) const noexcept {
  const double frequency = std::pow(rope_theta, -2.0 * static_cast<double>(pair) / static_cast<double>(head_dim));
  if (!rope_scaling) return frequency;
  const RopeScaling& scaling = *rope_scaling;
  const double turns = static_cast<double>(scaling.original_positions) * frequency / (2 * std::numbers::pi);
  if (turns < scaling.low_freq_factor) return frequency / scaling.factor;
  if (turns > scaling.high_freq_factor) return frequency;
  const double kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

void check_parameters(const ModelConfig& config) {
  config.family == Family::mlp ? check_mlp(config) : check_llama(config);
}

void check(const ModelConfig& config) {
  check_parameters(config);
  config.family == Family::mlp ? check_mlp_sequence(config) : check_llama_sequence(config);
}

std::string dashboard_line(const ModelConfig& config) {
  if (config.family == Family::mlp)
    return fmt::format("dim={} hidden={} seq={}", config.dim, config.hidden, config.seq_len);
  std::string line = fmt::format("dim={} hidden={} heads={} seq={} vocab={} layers={}", config.dim, config.hidden,
                                 config.heads, config.seq_len, config.vocab, config.layers);
  if (config.group() != 1) line += fmt::format(" kv_heads={}", config.kv_heads);
  if (config.q_dim() != config.dim) line += fmt::format(" head_dim={}", config.head_dim);
  return line;
}

}  // namespace ane::model
