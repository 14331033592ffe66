#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ane/data/source.h"
#include "ane/math/random.h"

namespace ane::model {

/// How the next token is chosen. Filters apply in the order of the fields, each to the renormalized probabilities that
/// the one before it left, as in Hugging Face's transformers; the most probable token always stays.
struct SamplingOptions {
  double temperature = 1;  ///< logits are divided by it; 0: always the most probable token
  std::size_t top_k = 0;   ///< keeps the k most probable tokens; 0: all
  double top_p = 1;        ///< keeps the fewest most probable tokens whose sum reaches p
  double min_p = 0;        ///< keeps tokens with at least this fraction of the largest probability
  std::uint64_t seed = 42;
};

/// Likely text without the loops of the most probable one.
inline constexpr SamplingOptions kDefaultSampling = {.temperature = 0.8};

/// Draws tokens. The draw at a position depends on nothing but the seed, the position and the logits.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options), random_(options.seed, kStream) {}

  /// The token after `position` tokens. Tokens of equal logits rank by their number.
  [[nodiscard]] data::Token next(std::span<const float> logits, std::size_t position);

 private:
  static constexpr std::uint64_t kStream = 0x73616D706C65;  // "sample"

  struct Candidate {
    float logit;
    data::Token token;
  };
  void keep_most_probable(std::size_t count);

  SamplingOptions options_;
  math::CounterRandom random_;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
};

}  // namespace ane::model
