#include "ane/model/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ane::model {

namespace {

/// The number of leading weights whose sum reaches `share` of the sum of all; at least one.
std::size_t leading(std::span<const double> weights, double share) {
  const double wanted = share * std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    sum += weights[i];
    if (sum >= wanted) return i + 1;
  }
  return weights.size();
}

}  // namespace

/// Sorts the candidates by probability, and drops those after the first `count`.
void Sampler::keep_most_probable(std::size_t count) {
  const auto is_before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(std::min(count, candidates_.size()));
  std::partial_sort(candidates_.begin(), end, candidates_.end(), is_before);
  candidates_.erase(end, candidates_.end());
}

data::Token Sampler::next(std::span<const float> logits, std::size_t position) {
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (options_.temperature == 0) return static_cast<data::Token>(largest - logits.begin());

  candidates_.clear();
  for (std::size_t token = 0; token < logits.size(); ++token)
    candidates_.push_back({logits[token], static_cast<data::Token>(token)});
  const bool is_ranked = options_.top_k > 0 || options_.top_p < 1 || options_.min_p > 0;
  if (is_ranked) keep_most_probable(options_.top_k > 0 ? options_.top_k : candidates_.size());

  weights_.clear();
  for (const Candidate& candidate : candidates_)
    weights_.push_back(std::exp((double{candidate.logit} - double{*largest}) / options_.temperature));
  if (options_.top_p < 1) weights_.resize(leading(weights_, options_.top_p));
  if (options_.min_p > 0) {
    const auto too_small = std::find_if(weights_.begin() + 1, weights_.end(),
                                        [&](double weight) { return weight < options_.min_p * weights_.front(); });
    weights_.erase(too_small, weights_.end());
  }
  const std::size_t drawn = leading(weights_, random_.uniform(position));
  return candidates_[drawn - 1].token;
}

}  // namespace ane::model
