#pragma once

#include <cstddef>
#include <cstdint>

namespace ane::app {

/// What an update of a run in a single process costs.
struct UpdateCosts {
  std::int64_t sequences = 1;  ///< of an update
  double sequence_s = 0;       ///< forward and backward of one
  double backward_s = 0;       ///< the part of it after the gradients of the last layer are complete
  double refresh_s = 0;        ///< compiling kernels with new weights, or writing weights to them
  double optimizer_s = 0;      ///< updating all parameters
  // Bytes of fp32 gradients, in the order in which the backward pass completes them:
  double output_bytes = 0;  ///< after the layers: norm and classifier
  double layer_bytes = 0;   ///< of all layers
  double input_bytes = 0;   ///< before the layers: embedding
  std::size_t layers = 1;

  [[nodiscard]] double bytes() const noexcept { return output_bytes + layer_bytes + input_bytes; }
};

/// The network between any two ranks.
struct Link {
  double bytes_per_s = 0;
  double latency_s = 0;  ///< of a small message, in one direction
};

/// The predicted time of an update on several ranks, in seconds.
struct RankPrediction {
  double compute_s = 0;  ///< the rank with the most sequences, and new weights for its kernels
  double optimizer_s = 0;
  double sum_s = 0;     ///< summing the gradients ...
  double hidden_s = 0;  ///< ... of which so much overlaps with the backward pass
  double gather_s = 0;  ///< exchanging the new parameters
  [[nodiscard]] double exchange_s() const noexcept { return sum_s - hidden_s + gather_s; }
  [[nodiscard]] double total_s() const noexcept { return compute_s + optimizer_s + exchange_s(); }
};

/// Predicts an update on `ranks` ranks, each of which sends and receives at the link's speed:
///
///   compute   = ceil(sequences / ranks) * sequence + refresh
///   optimizer = optimizer / ranks
///   send(b)   = (ranks - 1) / ranks * b / (0.95 * bandwidth), and the latency for each piece (Transfers::kPieceBytes)
///   hidden    = what the link can send of the classifier's and the layers' gradients, but those of the first layer,
///               while the backward pass goes from the last layer to the first
///   total     = compute + optimizer + send(gradients) - hidden + send(parameters)
[[nodiscard]] RankPrediction predict_update(const UpdateCosts& costs, int ranks, const Link& link);

}  // namespace ane::app
