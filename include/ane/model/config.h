#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ane::model {

/// A model family determines which tensors a model has and what it computes.
///   llama  Llama, Mistral, SmolLM2, TinyLlama and others of that form
///   qwen2  as llama, with biases of the query, key and value projections
///   qwen3  as llama, with an RMSNorm of each query and key head (QK-norm)
///   mlp    y = w2 relu(w1 x) with the mean squared error: only dim, hidden and seq_len apply
enum class Family { llama, qwen2, qwen3, mlp };
/// Its name in settings and in config.json: "llama".
[[nodiscard]] std::string_view name(Family family) noexcept;

/// Llama 3's adaptation of RoPE to sequences longer than `original_positions`: low frequencies are divided by `factor`,
/// high ones stay, and those in between are interpolated (transformers, modeling_rope_utils.py).
struct RopeScaling {
  double factor = 8;
  double low_freq_factor = 1;   ///< wavelengths above original_positions / low_freq_factor are scaled
  double high_freq_factor = 4;  ///< wavelengths below original_positions / high_freq_factor are not
  std::size_t original_positions = 8192;
  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

/// The architecture of a model without its weights: everything that determines the shapes of its tensors and what it
/// computes.
struct ModelConfig {
  Family family = Family::llama;
  std::size_t dim = 0;     ///< width of the residual stream
  std::size_t hidden = 0;  ///< width of the feed-forward layer
  std::size_t layers = 0;
  std::size_t heads = 0;
  std::size_t kv_heads = 0;  ///< divides heads; equal to heads without grouped-query attention
  std::size_t head_dim = 0;  ///< width of an attention head; usually dim / heads
  std::size_t vocab = 0;
  std::size_t seq_len = 0;  ///< positions per sequence
  bool tied_embeddings = true;
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  std::optional<RopeScaling> rope_scaling = std::nullopt;

  /// Whether q_proj, k_proj and v_proj add a bias.
  [[nodiscard]] bool has_qkv_bias() const noexcept { return family == Family::qwen2; }
  /// Whether q_norm and k_norm normalize each head of the queries and keys before RoPE.
  [[nodiscard]] bool has_qk_norm() const noexcept { return family == Family::qwen3; }
  /// Width of the queries of all heads.
  [[nodiscard]] std::size_t q_dim() const noexcept { return head_dim * heads; }
  /// Width of the keys, and of the values, of all heads.
  [[nodiscard]] std::size_t kv_dim() const noexcept { return head_dim * kv_heads; }
  /// The angle by which RoPE rotates pair `pair` of a head per position, in radians.
  [[nodiscard]] double rope_frequency(std::size_t pair) const noexcept;
  /// Number of query heads that share a key-value head.
  [[nodiscard]] std::size_t group() const noexcept { return heads / kv_heads; }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// Throws UsageError naming the field, its value and the requirement it violates: every dimension is positive, kv_heads
/// divides heads, head_dim is even, RoPE's scaling is possible, and every tensor has less than 2^31 elements.
void check(const ModelConfig& config);

/// The same, except for the activations of a sequence of seq_len positions. A model may support longer sequences than
/// can be computed at once.
void check_parameters(const ModelConfig& config);

/// The line that the field's drivers print for a model: "dim=768 hidden=2048 heads=12 seq=256 vocab=32000 layers=12".
[[nodiscard]] std::string dashboard_line(const ModelConfig& config);

/// Serializes the config as JSON with the keys of Hugging Face's config.json ("hidden_size"): on one line, or indented
/// by `indent` spaces if that is not negative.
[[nodiscard]] std::string to_json(const ModelConfig& config, int indent = -1);

/// Parses the output of to_json(), or the config.json of a Hugging Face model with a supported architecture. `place`
/// names the source in messages. Throws FileError for text that is not JSON, a missing key, an invalid value, an
/// unsupported feature, and a config that check_parameters() refuses.
[[nodiscard]] ModelConfig config_from_json(std::string_view json, const std::string& place);

/// The config of a Hugging Face model directory.
inline constexpr const char* kConfigFile = "config.json";
/// Reads such a file. Throws FileError like config_from_json(), and if the file cannot be read or is too large.
[[nodiscard]] ModelConfig read_config(const std::filesystem::path& path);

/// Lists the keys of to_json() whose values differ, each as "hidden_size: 64 and 128".
[[nodiscard]] std::vector<std::string> differences(const ModelConfig& a, const ModelConfig& b);

}  // namespace ane::model
