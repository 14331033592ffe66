#include "ane/train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ane::train {

Evaluation evaluate(model::Model& model, const data::Source& source, std::span<const float> parameters,
                    std::size_t first, std::size_t count, const std::atomic<bool>& stop) {
  std::vector<data::Sample> samples(model.batch_slots());
  std::vector<model::StepResult> results(samples.size());
  model::StepTimes times;
  Evaluation evaluation;
  while (evaluation.sequences < count && !stop) {
    const std::size_t at_once = std::min(samples.size(), count - evaluation.sequences);
    for (std::size_t i = 0; i < at_once; ++i) source.validation_sample(first + evaluation.sequences + i, samples[i]);
    model.evaluate(std::span(samples).first(at_once), parameters, std::span(results).first(at_once), times);
    for (const model::StepResult& result : std::span(results).first(at_once)) {
      evaluation.loss_sum += result.loss;
      evaluation.loss_sequences += result.loss_share;
      if (!evaluation.overflow) evaluation.overflow = result.overflow;
    }
    evaluation.sequences += at_once;
  }
  if (!evaluation.overflow && !std::isfinite(evaluation.loss_sum)) evaluation.overflow = "the loss is not finite";
  evaluation.loss = evaluation.loss_sum / evaluation.loss_sequences;
  return evaluation;
}

}  // namespace ane::train
