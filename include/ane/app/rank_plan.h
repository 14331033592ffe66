#pragma once

#include <cstddef>
#include <cstdint>

namespace ane::app {

/// What an update of a run in a single process costs.
struct UpdateCosts {
  std::int64_t sequences = 1;  ///< of an update
  double sequence_s = 0;       ///< forward and backward of one
  double optimizer_s = 0;      ///< updating all parameters
  double layer_bytes = 0;      ///< fp32 gradients of all layers
  double other_bytes = 0;      ///< those of embedding, classifier and what else is not in a layer
  std::size_t layers = 1;
};

/// The network between any two ranks.
struct Link {
  double bytes_per_s = 0;
  double latency_s = 0;
};

/// The predicted time of an update on several ranks, in seconds.
struct RankPrediction {
  double compute_s = 0;  ///< the rank with the most sequences
  double optimizer_s = 0;
  double layer_sum_s = 0;  ///< summing the gradients of the layers ...
  double hidden_s = 0;     ///< ... of which so much overlaps with the backward pass
  double other_sum_s = 0;  ///< summing the others, which the backward pass completes last
  double gather_s = 0;     ///< exchanging the new parameters
  [[nodiscard]] double exchange_s() const noexcept { return layer_sum_s - hidden_s + other_sum_s + gather_s; }
  [[nodiscard]] double total_s() const noexcept { return compute_s + optimizer_s + exchange_s(); }
};

/// Predicts an update on `ranks` ranks, each of which sends and receives at the link's speed:
///
///   compute   = ceil(sequences / ranks) * sequence
///   optimizer = optimizer / ranks
///   send(b)   = (ranks - 1) / ranks * b / bandwidth, and the latency of each message
///   hidden    = at most the backward pass of the last sequence's layers, two thirds of its time
///   total     = compute + optimizer + send(layers) - hidden + send(others) + send(layers + others)
[[nodiscard]] RankPrediction predict_update(const UpdateCosts& costs, int ranks, const Link& link);

}  // namespace ane::app
