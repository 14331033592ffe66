#include <array>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
    check_parameters(config);
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
  const std::uint64_t expected = llama2c_bytes(config, layout);
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

namespace {

class Llama2cReader final : public ParameterReader {
 public:
  Llama2cReader(RegularFile file, const ParameterLayout& layout) : file_(std::move(file)) {
    const ModelConfig config = parse_header(file_);
    const ParameterLayout own = llama_parameters(config);
    check_size(file_, config, own);
    check_same(file_, own, layout);
    std::uint64_t offset = sizeof(Header);
    const auto place = [&](const Parameter& parameter) {
      offsets_[parameter.name] = offset;
      offset += parameter.count * sizeof(float);
    };
    walk(config, own, place, [&](std::size_t elements) { offset += elements * sizeof(float); });
  }

  void read(const Parameter& parameter, std::span<float> values) const override {
    read_at(parameter, 0, values);
    reorder_rows_of_meta(parameter, values);
  }
  void read_rows(const Parameter& parameter, std::size_t first, std::span<float> values) const override {
    assert(parameter.rotated_rows == 0);
    const std::size_t columns = static_cast<std::size_t>(parameter.shape.at(1));
    read_at(parameter, first * columns * sizeof(float), values);
  }
  std::string dtype(const Parameter& /*parameter*/) const override { return "F32"; }

 private:
  void read_at(const Parameter& parameter, std::uint64_t offset, std::span<float> values) const {
    file_.read(offsets_.at(parameter.name) + offset, std::as_writable_bytes(values));
    if (!std::isfinite(math::max_magnitude(std::span<const float>(values))))
      throw_file_error(file_.path(), fmt::format("tensor '{}' contains a non-finite value", parameter.name));
  }

  RegularFile file_;
  std::map<std::string, std::uint64_t> offsets_;  ///< by the parameters' names
};

/// The tables that the program no longer reads: the cosines of all positions, then the sines.
void write_rope_tables(TemporaryFile& file, const ModelConfig& config) {
  std::vector<float> row(config.head_dim / 2);
  for (const bool is_sine : {false, true}) {
    for (std::size_t position = 0; position < config.seq_len; ++position) {
      for (std::size_t pair = 0; pair < row.size(); ++pair) {
        const double angle = static_cast<double>(position) * config.rope_frequency(pair);
        row[pair] = static_cast<float>(is_sine ? std::sin(angle) : std::cos(angle));
      }
      file.write(std::as_bytes(std::span(row)));
    }
  }
}

}  // namespace

std::unique_ptr<ParameterReader> open_llama2c(const std::filesystem::path& path, const ParameterLayout& layout) {
  return open_llama2c(RegularFile(path, "model"), layout);
}

std::unique_ptr<ParameterReader> open_llama2c(RegularFile file, const ParameterLayout& layout) {
  return std::make_unique<Llama2cReader>(std::move(file), layout);
}

void read_llama2c(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> parameters) {
  read_all(*open_llama2c(path, layout), layout, parameters);
}

std::optional<std::string> obstacle_to_llama2c(const ModelConfig& config, const ParameterLayout& layout) {
  const auto assumed = [](std::string_view entry, double found, double expected) -> std::optional<std::string> {
    if (found == expected) return std::nullopt;
    return fmt::format("{} is {}, but llama2.c's program assumes {}", entry, found, expected);
  };
  if (config.family == Family::mlp) return "its family is mlp, but llama2.c's program computes only Llama";
  if (config.rope_scaling) return "its RoPE is scaled (rope_scaling), which llama2.c's program does not support";
  if (auto obstacle = assumed("rope_theta", config.rope_theta, 10000)) return obstacle;
  if (auto obstacle = assumed("rms_norm_eps", config.norm_eps, 1e-5)) return obstacle;
  if (config.q_dim() != config.dim)
    return fmt::format("head_dim is {}, but llama2.c's program assumes hidden_size / num_attention_heads, {} / {}",
                       config.head_dim, config.dim, config.heads);
  // The program computes the size of its cache of keys in 32 bits.
  if (std::uint64_t{config.layers} * config.seq_len * config.kv_dim() > INT32_MAX)
    return fmt::format(
        "max_position_embeddings is {}, too long for llama2.c's program with {} layers and a width of "
        "{} for the keys",
        config.seq_len, config.layers, config.kv_dim());
  const ParameterLayout representable = llama_parameters(config);
  std::set<std::string_view> names;
  walk(
      config, representable, [&](const Parameter& parameter) { names.insert(parameter.name); }, [](std::size_t) {});
  for (const Parameter& parameter : layout.parameters())
    if (!names.contains(parameter.name))
      return fmt::format("it has the tensor '{}', which llama2.c's program does not use", parameter.name);
  return std::nullopt;
}

std::uint64_t llama2c_bytes(const ModelConfig& config, const ParameterLayout& layout) {
  const std::uint64_t rope_tables = std::uint64_t{config.seq_len} * config.head_dim;
  return sizeof(Header) + (layout.parameter_count() + rope_tables) * sizeof(float);
}

void write_llama2c(TemporaryFile& file, const ModelConfig& config, const ParameterLayout& layout,
                   const ParameterReader& reader) {
  assert(!obstacle_to_llama2c(config, layout));
  const auto field = [](std::size_t value) { return static_cast<std::int32_t>(value); };  // check() limits them
  const Header header{.dim = field(config.dim),
                      .hidden = field(config.hidden),
                      .layers = field(config.layers),
                      .heads = field(config.heads),
                      .kv_heads = field(config.kv_heads),
                      .vocab = config.tied_embeddings ? field(config.vocab) : -field(config.vocab),
                      .max_seq_len = field(config.seq_len)};
  file.write(std::as_bytes(std::span(&header, 1)));
  std::vector<float> values;
  const auto write = [&](const Parameter& parameter) {
    values.resize(parameter.count);
    reader.read(parameter, values);
    reorder_rows_for_meta(parameter, values);
    file.write(std::as_bytes(std::span(values)));
  };
  walk(config, layout, write, [&](std::size_t) { write_rope_tables(file, config); });
}

}  // namespace ane::model
