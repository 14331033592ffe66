#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ane/data/sources.h"

#include "streams.h"

namespace ane::data {

namespace {

constexpr std::size_t kMostSuccessors = 8;
constexpr std::size_t kHeldOutTokens = 4096;

/// Every state uses the same probabilities, in proportion to 1, 1/2, 1/4, ..., for its own distinct successors. The
/// entropy of the successor is then the same for all tokens, so it is the chain's entropy rate whatever its stationary
/// distribution, and the lowest possible mean loss at every position of a sequence.
class SuccessorProbabilities {
 public:
  explicit SuccessorProbabilities(std::size_t count) : count_(count) {
    const double total = 2 - std::ldexp(1.0, 1 - static_cast<int>(count));
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const double p = std::ldexp(1.0, -static_cast<int>(k)) / total;
      entropy_ -= p * std::log(p);
      sum += p;
      cumulative_[k] = sum;
    }
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] double entropy() const noexcept { return entropy_; }
  /// Index of the successor for the uniform `u`.
  [[nodiscard]] std::size_t pick(double u) const noexcept {
    std::size_t k = 0;
    while (k + 1 < count_ && u >= cumulative_.at(k)) ++k;
    return k;
  }

 private:
  std::size_t count_;
  double entropy_ = 0;
  std::array<double, kMostSuccessors> cumulative_{};
};

class MarkovSource final : public Source {
 public:
  explicit MarkovSource(const TokenSettings& settings)
      : settings_(settings), probabilities_(std::min(settings.vocab_size, kMostSuccessors)) {
    assert(settings.seq_len > 0 && settings.vocab_size > 0);
    assert(settings.vocab_size <= std::size_t{std::numeric_limits<Token>::max()} + 1);
    draw_successors();
  }

  std::string description() const override {
    return fmt::format(
        "synthetic: Markov chain over {} tokens, {} successors each, entropy rate {:.4f} nats; {} sequences held out",
        settings_.vocab_size, probabilities_.count(), probabilities_.entropy(), validation_count());
  }
  std::string identity() const override {
    return fmt::format("synthetic vocab={} seq={} seed={}", settings_.vocab_size, settings_.seq_len, settings_.seed);
  }
  void training_sample(std::uint64_t step, Sample& sample) const override {
    draw(Stream::markov_training, step, sample);
  }
  std::size_t validation_count() const override { return std::max<std::size_t>(kHeldOutTokens / settings_.seq_len, 1); }
  void validation_sample(std::size_t index, Sample& sample) const override {
    if (index >= validation_count()) return Source::validation_sample(index, sample);
    draw(Stream::markov_held_out, index, sample);
  }
  std::optional<double> loss_floor() const override { return probabilities_.entropy(); }

 private:
  /// Low tokens are the frequent ones, as in text: the density of u = token / vocabulary is proportional to u^(-2/3).
  [[nodiscard]] Token skewed_token(double u) const noexcept {
    return static_cast<Token>(u * u * u * static_cast<double>(settings_.vocab_size));
  }

  void draw_successors() {
    const math::CounterRandom random = random_stream(settings_.seed, Stream::markov_chain);
    const std::size_t count = probabilities_.count();
    successors_.resize(settings_.vocab_size * count);
    for (std::size_t i = 0; i < successors_.size(); ++i) {
      const auto taken = std::span(successors_).subspan(i / count * count, i % count);
      std::size_t token = skewed_token(random.uniform(i));
      while (std::find(taken.begin(), taken.end(), token) != taken.end()) token = (token + 1) % settings_.vocab_size;
      successors_[i] = static_cast<Token>(token);
    }
  }

  void draw(Stream stream, std::uint64_t number, Sample& sample) const {
    const math::CounterRandom random = random_stream(settings_.seed, stream);
    const std::size_t length = settings_.seq_len + 1;
    const std::uint64_t first = number * length;
    sample.tokens.resize(length);
    Token token = skewed_token(random.uniform(first));
    sample.tokens[0] = token;
    for (std::size_t i = 1; i < length; ++i) {
      token = successors_[token * probabilities_.count() + probabilities_.pick(random.uniform(first + i))];
      sample.tokens[i] = token;
    }
  }

  TokenSettings settings_;
  SuccessorProbabilities probabilities_;
  std::vector<Token> successors_;  ///< [vocabulary, count], the most probable first
};

}  // namespace

std::unique_ptr<Source> make_markov_source(const TokenSettings& settings) {
  return std::make_unique<MarkovSource>(settings);
}

}  // namespace ane::data
