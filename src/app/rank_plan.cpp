#include "ane/app/rank_plan.h"

#include <algorithm>

#include "ane/core/checked.h"

namespace ane::app {

RankPrediction predict_update(const UpdateCosts& costs, int ranks, const Link& link) {
  RankPrediction prediction{
      .compute_s = static_cast<double>(ceil_div<std::int64_t>(costs.sequences, ranks)) * costs.sequence_s,
      .optimizer_s = costs.optimizer_s / ranks};
  if (ranks == 1) return prediction;
  const double share = static_cast<double>(ranks - 1) / ranks;
  const auto send = [&](double bytes, double messages) {
    return share * bytes / link.bytes_per_s + messages * link.latency_s;
  };
  const auto layers = static_cast<double>(costs.layers);
  constexpr double kOtherSegments = 2;   // before and after the layers
  constexpr double kSmallExchanges = 4;  // two of them, each of a length and a text
  prediction.layer_sum_s = send(costs.layer_bytes, layers);
  constexpr double kBackward = 2.0 / 3;
  prediction.hidden_s = std::min(prediction.layer_sum_s, kBackward * costs.sequence_s);
  prediction.other_sum_s = send(costs.other_bytes, kOtherSegments + kSmallExchanges);
  prediction.gather_s = send(costs.layer_bytes + costs.other_bytes, layers + kOtherSegments);
  return prediction;
}

}  // namespace ane::app
