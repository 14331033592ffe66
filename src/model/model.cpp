#include "ane/model/model.h"

namespace ane::model {

StepTimes& StepTimes::operator+=(const StepTimes& other) noexcept {
  ane += other.ane;
  io += other.io;
  classifier += other.classifier;
  elementwise += other.elementwise;
  rms_norm += other.rms_norm;
  blas_wait += other.blas_wait;
  return *this;
}

StepTimes& StepTimes::operator/=(std::int64_t parts) noexcept {
  for (Duration* time : {&ane, &io, &classifier, &elementwise, &rms_norm, &blas_wait}) *time /= parts;
  return *this;
}

void Model::step_each(std::span<const data::Sample> samples, std::span<const float> parameters, float loss_scale,
                      std::span<float> gradients, std::span<StepResult> results, StepTimes& times) {
  for (std::size_t i = 0; i < samples.size(); ++i)
    results[i] = step(samples[i], parameters, loss_scale, gradients, times);
}

void Model::evaluate_each(std::span<const data::Sample> samples, std::span<const float> parameters,
                          std::span<StepResult> results, StepTimes& times) {
  for (std::size_t i = 0; i < samples.size(); ++i) results[i] = evaluate(samples[i], parameters, times);
}

}  // namespace ane::model
