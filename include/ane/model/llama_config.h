#pragma once

#include <cstddef>
#include <string>

namespace ane::model {

/// A Llama model's dimensions. RoPE rotates adjacent pairs (2i, 2i+1), as in Meta's and llama2.c's models.
struct LlamaConfig {
  std::size_t dim = 0;
  std::size_t hidden = 0;  ///< feed-forward width
  std::size_t layers = 0;
  std::size_t heads = 0;
  std::size_t kv_heads = 0;  ///< divides heads; equal to it without grouped-query attention
  std::size_t vocab = 0;
  std::size_t seq_len = 0;
  bool tied_classifier = true;
  float norm_eps = 1e-5F;
  float rope_theta = 10000.0F;

  [[nodiscard]] std::size_t head_dim() const noexcept { return dim / heads; }
  [[nodiscard]] std::size_t kv_dim() const noexcept { return head_dim() * kv_heads; }
  /// Query heads that share a KV head.
  [[nodiscard]] std::size_t group() const noexcept { return heads / kv_heads; }
  friend bool operator==(const LlamaConfig&, const LlamaConfig&) = default;
};

/// Throws UsageError naming the field, its value and the requirement: positive, heads divides dim, kv_heads divides
/// heads, head_dim even, vocab at most 65536 (tokens are uint16), every tensor below 2^31 elements.
void check(const LlamaConfig& config);

/// The two-layer smoke-test MLP: y = w2 relu(w1 x), mean squared error.
struct MlpConfig {
  std::size_t dim = 64;
  std::size_t hidden = 128;
  std::size_t seq_len = 32;
  friend bool operator==(const MlpConfig&, const MlpConfig&) = default;
};
void check(const MlpConfig& config);

}  // namespace ane::model
