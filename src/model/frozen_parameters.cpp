#include "ane/model/frozen_parameters.h"

#include <algorithm>
#include <exception>
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

bool FrozenParameters::can_be_read() const noexcept try {
  const auto parameters = layout_.parameters();
  const auto smallest = std::ranges::min_element(parameters, {}, &Parameter::count);
  std::vector<float> values(smallest->count);
  reader_->read(*smallest, values);
  return true;
} catch (const std::exception&) {
  return false;
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
