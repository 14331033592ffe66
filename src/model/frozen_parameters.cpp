#include "ane/model/frozen_parameters.h"

#include <utility>

namespace ane::model {

void FrozenParameters::add(Parameter parameter) {
  parameter.is_frozen = true;
  layout_.add(std::move(parameter));
}

void FrozenParameters::load_vectors() {
  for (const Parameter& parameter : layout_.parameters()) {
    if (parameter.shape.size() != 1) continue;
    std::vector<float>& values = vectors_[parameter.name];
    values.resize(parameter.count);
    reader_->read(parameter, values);
  }
}

const Parameter* ParameterValues::find(std::string_view name) const noexcept {
  const Parameter* const trained = trained_->find(name);
  return trained != nullptr || frozen_ == nullptr ? trained : frozen_->layout().find(name);
}

std::span<const float> ParameterValues::read(const Parameter& parameter, std::vector<float>& buffer) const {
  if (!parameter.is_frozen) return slice(values_, parameter);
  buffer.resize(parameter.count);
  frozen_->read(parameter, buffer);
  return buffer;
}

}  // namespace ane::model
