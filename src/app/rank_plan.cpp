#include "ane/app/rank_plan.h"

#include <algorithm>
#include <cmath>

#include "ane/core/checked.h"
#include "ane/distributed/transfers.h"

namespace ane::app {
namespace {

constexpr double kPayload = 0.95;  ///< of a link; headers take the rest

/// Time to sum or to gather `count` arrays of `bytes` together.
double send_s(double bytes, double count, int ranks, const Link& link) {
  if (bytes <= 0) return 0;
  const double slice = bytes / count / ranks;
  const double pieces = count * std::ceil(slice / static_cast<double>(distributed::Transfers::kPieceBytes));
  return bytes * (ranks - 1) / ranks / (kPayload * link.bytes_per_s) + pieces * link.latency_s;
}

}  // namespace

RankPrediction predict_update(const UpdateCosts& costs, int ranks, const Link& link) {
  RankPrediction prediction{
      .compute_s =
          static_cast<double>(ceil_div<std::int64_t>(costs.sequences, ranks)) * costs.sequence_s + costs.refresh_s,
      .optimizer_s = costs.optimizer_s / ranks};
  if (ranks == 1) return prediction;
  const auto layers = static_cast<double>(costs.layers);
  const double output_s = send_s(costs.output_bytes, 1, ranks, link);
  const double layers_s = send_s(costs.layer_bytes, layers, ranks, link);
  const double all_s = output_s + layers_s + send_s(costs.input_bytes, 1, ranks, link);
  constexpr double kSmallMessages = 4;  // what the ranks know, before and after they update; each with its length
  prediction.sum_s = all_s + kSmallMessages * link.latency_s;
  prediction.hidden_s =
      std::min(output_s + layers_s * (layers - 1) / std::max(layers, 1.0), std::max(costs.backward_s, 0.0));
  prediction.gather_s = all_s;
  return prediction;
}

}  // namespace ane::app
