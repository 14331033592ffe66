#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/math/half.h"
#include "ane/model/weight_files.h"

#include "formats/meta_format.h"
#include "layouts.h"

/// llama2.c's first format: 7 int32, then fp32 weights, in Meta's format (meta_format.h), each kind for all layers in
/// turn, two unused RoPE tables, and a classifier if the header's vocabulary size is negative.
namespace ane::model {

namespace {

constexpr std::array<std::string_view, 9> kLayerTensors = {
    "input_layernorm",          "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "post_attention_layernorm", "mlp.gate_proj",    "mlp.down_proj",    "mlp.up_proj"};

struct Header {
  std::int32_t dim, hidden, layers, heads, kv_heads, vocab, max_seq_len;
};

std::size_t positive(const std::filesystem::path& path, std::string_view field, std::int32_t value) {
  if (value <= 0)
    throw_file_error(
        path, fmt::format("its header says {} = {}, but it must be at least 1; is it a llama2.c model?", field, value));
  return static_cast<std::size_t>(value);
}

ModelConfig parse_header(const RegularFile& file) {
  const auto& path = file.path();
  Header header{};
  if (file.size_bytes() < sizeof header)
    throw_file_error(path, fmt::format("{} bytes are too few for a llama2.c model, whose header alone has {}",
                                       file.size_bytes(), sizeof header));
  file.read(0, std::as_writable_bytes(std::span(&header, 1)));

  ModelConfig config;
  config.dim = positive(path, "dim", header.dim);
  config.hidden = positive(path, "hidden_dim", header.hidden);
  config.layers = positive(path, "n_layers", header.layers);
  config.heads = positive(path, "n_heads", header.heads);
  config.kv_heads = positive(path, "n_kv_heads", header.kv_heads);
  if (config.dim % config.heads != 0)
    throw_file_error(path, fmt::format("its header is invalid: dim is {} and heads is {}, but heads must divide dim",
                                       config.dim, config.heads));
  config.head_dim = config.dim / config.heads;
  config.tied_embeddings = header.vocab > 0;
  if (header.vocab == INT32_MIN) throw_file_error(path, fmt::format("its header says vocab_size = {}", header.vocab));
  config.vocab = positive(path, "vocab_size (negative for an untied classifier)", std::abs(header.vocab));
  config.seq_len = positive(path, "max_seq_len", header.max_seq_len);
  try {
    check(config);
  } catch (const UsageError& error) {
    throw_file_error(path, fmt::format("its header is invalid: {}", error.what()));
  }
  return config;
}

/// Calls visit(parameter) for the tensors in the order of the file, and skip(elements) for the RoPE tables.
template <class Visit, class Skip>
void walk(const ModelConfig& config, const ParameterLayout& layout, Visit&& visit, Skip&& skip) {
  visit(*layout.find("model.embed_tokens.weight"));
  for (const std::string_view name : kLayerTensors)
    for (std::size_t layer = 0; layer < config.layers; ++layer)
      visit(*layout.find(fmt::format("model.layers.{}.{}.weight", layer, name)));
  visit(*layout.find("model.norm.weight"));
  skip(config.seq_len * config.head_dim);
  if (!config.tied_embeddings) visit(*layout.find("lm_head.weight"));
}

void check_size(const RegularFile& file, const ModelConfig& config, const ParameterLayout& layout) {
  const std::size_t elements = layout.parameter_count() + config.seq_len * config.head_dim;
  const std::size_t expected = sizeof(Header) + elements * sizeof(float);
  if (file.size_bytes() != expected)
    throw_file_error(file.path(),
                     fmt::format("it has {} bytes, but dim={} hidden={} layers={} heads={} kv_heads={} vocab={} "
                                 "seq={} need {}; is it truncated or in another format?",
                                 file.size_bytes(), config.dim, config.hidden, config.layers, config.heads,
                                 config.kv_heads, config.vocab, config.seq_len, expected));
}

void check_same(const RegularFile& file, const ParameterLayout& found, const ParameterLayout& expected) {
  for (const Parameter& parameter : found.parameters()) {
    const Parameter* match = expected.find(parameter.name);
    if (match == nullptr) throw_file_error(file.path(), fmt::format("the model has no tensor '{}'", parameter.name));
    if (match->shape != parameter.shape)
      throw_file_error(file.path(), fmt::format("tensor '{}' has shape {}, expected {}", parameter.name,
                                                mil::to_string(parameter.shape), mil::to_string(match->shape)));
  }
  for (const Parameter& parameter : expected.parameters())
    if (found.find(parameter.name) == nullptr)
      throw_file_error(file.path(), fmt::format("there is no tensor '{}'", parameter.name));
}

}  // namespace

ModelConfig read_llama2c_config(const std::filesystem::path& path) {
  const RegularFile file(path, "model");
  const ModelConfig config = parse_header(file);
  check_size(file, config, llama_parameters(config));
  return config;
}

void read_llama2c(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> parameters) {
  const RegularFile file(path, "model");
  const ModelConfig config = parse_header(file);
  const ParameterLayout own = llama_parameters(config);
  check_size(file, config, own);
  check_same(file, own, layout);

  std::uint64_t offset = sizeof(Header);
  const auto read = [&](const Parameter& parameter) {
    const std::span<float> values = slice(parameters, *layout.find(parameter.name));
    file.read(offset, std::as_writable_bytes(values));
    offset += values.size_bytes();
    if (!std::isfinite(math::max_magnitude(std::span<const float>(values))))
      throw_file_error(path, fmt::format("tensor '{}' contains a non-finite value", parameter.name));
    reorder_rows_of_meta(parameter, values);
  };
  const auto skip = [&](std::size_t elements) { offset += elements * sizeof(float); };
  walk(config, own, read, skip);
}

}  // namespace ane::model
