#include "ane/model/model.h"

#include <fmt/format.h>

#include "ane/core/error.h"

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

std::optional<std::string> Model::next_logits(std::span<const data::Token> /*text*/,
                                              std::span<const float> /*parameters*/, std::span<float> /*logits*/) {
  throw UsageError(fmt::format("an {} cannot generate text", name(config().family)));
}

}  // namespace ane::model
