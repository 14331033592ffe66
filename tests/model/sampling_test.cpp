#include "ane/model/sampling.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "support/catch.h"
#include "support/sanitized.h"

namespace ane::model {
namespace {

// Probabilities 0.35, 0.25, 0.16, 0.1, 0.07, 0.05, 0.02 in another order.
const std::vector<double> kProbabilities = {0.1, 0.35, 0.05, 0.25, 0.02, 0.16, 0.07};

std::vector<float> logits() {
  std::vector<float> values;
  for (const double probability : kProbabilities) values.push_back(static_cast<float>(std::log(probability) + 3));
  return values;
}

/// The distribution by the definitions, with sorted maps instead of arrays.
std::map<data::Token, double> expected(const SamplingOptions& options) {
  std::multimap<double, data::Token, std::greater<>> ranked;
  for (std::size_t token = 0; token < kProbabilities.size(); ++token)
    ranked.emplace(std::pow(kProbabilities[token], 1 / options.temperature), static_cast<data::Token>(token));
  const auto normalize = [&] {
    double sum = 0;
    for (const auto& entry : ranked) sum += entry.first;
    std::multimap<double, data::Token, std::greater<>> scaled;
    for (const auto& [weight, token] : ranked) scaled.emplace(weight / sum, token);
    ranked = scaled;
  };
  if (options.top_k > 0)
    while (ranked.size() > options.top_k) ranked.erase(std::prev(ranked.end()));
  normalize();
  double before = 0;
  for (auto entry = ranked.begin(); entry != ranked.end();) {
    const double own = entry->first;
    entry = before >= options.top_p ? ranked.erase(entry) : std::next(entry);
    before += own;
  }
  normalize();
  const double largest = ranked.begin()->first;
  std::erase_if(ranked, [&](const auto& entry) { return entry.first < options.min_p * largest; });
  normalize();
  std::map<data::Token, double> result;
  for (const auto& [probability, token] : ranked) result[token] = probability;
  return result;
}

/// 0.999 quantile of the chi-square distribution (Wilson and Hilferty 1931), exact to a percent here.
double critical(std::size_t degrees) {
  const double k = static_cast<double>(degrees);
  constexpr double kNormalQuantile = 3.09;
  return k * std::pow(1 - 2 / (9 * k) + kNormalQuantile * std::sqrt(2 / (9 * k)), 3);
}

TEST_CASE("draws have the probabilities that the filters leave", "[model][sampling]") {
  const double temperature = GENERATE(1.0, 0.7, 2.0);
  const std::size_t top_k = GENERATE(0U, 1U, 4U, 100U);
  const double top_p = GENERATE(1.0, 0.5, 0.8);
  const double min_p = GENERATE(0.0, 0.3);
  const SamplingOptions options{.temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p, .seed = 5};
  CAPTURE(temperature, top_k, top_p, min_p);
  const std::map<data::Token, double> probabilities = expected(options);
  Sampler sampler(options);
  const std::vector<float> values = logits();
  constexpr std::size_t kDraws = kSanitized ? 3'000 : 100'000;
  std::map<data::Token, double> counts;
  for (std::size_t i = 0; i < kDraws; ++i) ++counts[sampler.next(values, i)];
  double chi_square = 0;
  for (const auto& [token, probability] : probabilities) {
    const double wanted = probability * static_cast<double>(kDraws);
    chi_square += std::pow(counts[token] - wanted, 2) / wanted;
  }
  CHECK(counts.size() == probabilities.size());  // nothing else was drawn
  if (probabilities.size() > 1) CHECK(chi_square < critical(probabilities.size() - 1));
}

TEST_CASE("a filter keeps the token at its boundary", "[model][sampling]") {
  // Four equal logits: weights of 1 and their sums are exact.
  const auto drawn = [](double top_p, double min_p) {
    Sampler sampler({.temperature = 1, .top_k = 0, .top_p = top_p, .min_p = min_p, .seed = 5});
    std::map<data::Token, int> counts;
    for (std::size_t i = 0; i < 200; ++i) ++counts[sampler.next(std::vector<float>(4, 0.5F), i)];
    return counts.size();
  };
  CHECK(drawn(0.5, 0) == 2);  // two tokens reach a half
  CHECK(drawn(0.51, 0) == 3);
  CHECK(drawn(0, 0) == 1);
  CHECK(drawn(1, 1) == 4);  // all are as probable as the largest
}

TEST_CASE("without temperature the most probable token is drawn, and the first of equals", "[model][sampling]") {
  Sampler greedy({.temperature = 0, .top_k = 3, .top_p = 0.1, .min_p = 1, .seed = 1});
  CHECK(greedy.next(logits(), 0) == 1);
  CHECK(greedy.next(std::vector<float>{1, 7, -2, 7}, 9) == 1);
  Sampler first({.temperature = 1, .top_k = 1, .top_p = 1, .min_p = 0, .seed = 1});
  CHECK(first.next(std::vector<float>{1, 7, -2, 7}, 9) == 1);
}

TEST_CASE("a draw depends on the seed and the position only", "[model][sampling]") {
  const std::vector<float> values(64, 0.0F);
  const auto draws = [&](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed});
    std::vector<data::Token> tokens;
    for (std::size_t i = 0; i < 20; ++i) tokens.push_back(sampler.next(values, i));
    return tokens;
  };
  CHECK(draws(1) == draws(1));
  CHECK(draws(1) != draws(2));
  Sampler later({.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 1});
  CHECK(later.next(values, 7) == draws(1)[7]);
}

}  // namespace
}  // namespace ane::model
