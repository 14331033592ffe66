#include "ane/model/parameters.h"

#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane::model {

namespace {
constexpr std::size_t kAlignment = 16;  // elements: 64 bytes of fp32
}

std::size_t ParameterLayout::add(Parameter parameter) {
  const std::size_t index = parameters_.size();
  parameter.offset = size_;
  parameter.count = static_cast<std::size_t>(mil::element_count(parameter.shape));
  if (!index_.emplace(parameter.name, index).second)
    throw Error(fmt::format("two parameters are named '{}'", parameter.name));

  size_ += round_up(parameter.count, kAlignment);
  parameter_count_ += parameter.count;
  parameters_.push_back(std::move(parameter));
  return index;
}

const Parameter* ParameterLayout::find(std::string_view name) const noexcept {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &parameters_[found->second];
}

}  // namespace ane::model
