#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "ane/data/sources.h"

#include "support/catch.h"

using namespace ane::data;

namespace {

/// Counts of each pair of consecutive tokens in `samples` training samples.
std::map<Token, std::map<Token, double>> count_pairs(const Source& source, std::uint64_t samples) {
  std::map<Token, std::map<Token, double>> counts;
  Sample sample;
  for (std::uint64_t step = 0; step < samples; ++step) {
    source.training_sample(step, sample);
    for (std::size_t i = 1; i < sample.tokens.size(); ++i) ++counts[sample.tokens[i - 1]][sample.tokens[i]];
  }
  return counts;
}

/// Mean of -log p(next | token), with p from the counts: the loss of a perfect model of the chain.
double conditional_entropy(const std::map<Token, std::map<Token, double>>& counts) {
  double pairs = 0;
  double nats = 0;
  for (const auto& [token, next] : counts) {
    double total = 0;
    for (const auto& [successor, count] : next) total += count;
    for (const auto& [successor, count] : next) nats -= count * std::log(count / total);
    pairs += total;
  }
  return nats / pairs;
}

}  // namespace

TEST_CASE("the chain's entropy is its loss floor", "[data]") {
  const std::size_t vocab = GENERATE(as<std::size_t>{}, 1, 2, 5, 8, 9, 64);
  const std::uint64_t seed = GENERATE(as<std::uint64_t>{}, 1, 2);
  CAPTURE(vocab, seed);
  const auto source = make_markov_source({.seq_len = 1000, .vocab_size = vocab, .seed = seed});
  const auto counts = count_pairs(*source, 500);
  REQUIRE(source->loss_floor().has_value());
  // 500,000 draws: the estimate's deviation is 0.0015, its bias below 512 / 1e6.
  CHECK(std::abs(conditional_entropy(counts) - *source->loss_floor()) <= 0.006);
  for (const auto& [token, next] : counts) {
    CHECK(token < vocab);
    CHECK(next.size() <= 8);
  }
}

TEST_CASE("the floor is the entropy of 1, 1/2, ... 1/128, normalized", "[data]") {
  double floor = 0;
  for (int k = 0; k < 8; ++k) {
    const double p = (128.0 / (1 << k)) / 255;
    floor -= p * std::log(p);
  }
  const auto source = make_markov_source({.seq_len = 8, .vocab_size = 32000});
  CHECK(std::abs(*source->loss_floor() - floor) <= 1e-12);
  CHECK_THAT(source->description(), ANE_CONTAINS("32000 tokens, 8 successors each, entropy rate 1.3"));
}

TEST_CASE("samples of the chain depend only on seed and step", "[data]") {
  const TokenSettings settings{.seq_len = 32, .vocab_size = 65536, .seed = 5};
  const auto source = make_markov_source(settings);
  const auto again = make_markov_source(settings);
  const auto other = make_markov_source({.seq_len = 32, .vocab_size = 65536, .seed = 6});
  std::set<std::vector<Token>> seen;
  Sample sample;
  Sample repeated;
  for (std::uint64_t step = 0; step < 50; ++step) {
    source->training_sample(step, sample);
    again->training_sample(step, repeated);
    CHECK(sample.tokens.size() == 33);
    CHECK(sample.tokens == repeated.tokens);
    CHECK(seen.insert(sample.tokens).second);
    other->training_sample(step, sample);
    CHECK(seen.insert(sample.tokens).second);
  }
  REQUIRE(source->validation_count() == 128);
  for (std::size_t i = 0; i < source->validation_count(); ++i) {
    source->validation_sample(i, sample);
    CHECK(seen.insert(sample.tokens).second);
  }
  CHECK(source->identity() == again->identity());
  CHECK(source->identity() != other->identity());
}

TEST_CASE("held-out samples follow the training chain", "[data]") {
  const auto source = make_markov_source({.seq_len = 64, .vocab_size = 32, .seed = 1});
  const auto counts = count_pairs(*source, 2000);
  Sample sample;
  for (std::size_t i = 0; i < source->validation_count(); ++i) {
    source->validation_sample(i, sample);
    for (std::size_t j = 1; j < sample.tokens.size(); ++j)
      CHECK(counts.at(sample.tokens[j - 1]).contains(sample.tokens[j]));
  }
}
