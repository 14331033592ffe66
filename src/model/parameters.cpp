#include "ane/model/parameters.h"

#include <utility>

#include <fmt/format.h>

#include "ane/core/checked.h"
#include "ane/core/error.h"

namespace ane::model {

namespace {
constexpr std::size_t kAlignment = 16;  // elements: 64 bytes of fp32
}

std::size_t ParameterLayout::add(std::string name, mil::Shape shape, bool decays) {
  const std::size_t index = parameters_.size();
  const auto count = static_cast<std::size_t>(mil::element_count(shape));
  if (!index_.emplace(name, index).second) throw Error(fmt::format("two parameters are named '{}'", name));

  parameters_.push_back({std::move(name), std::move(shape), size_, count, decays});
  size_ += round_up(count, kAlignment);
  parameter_count_ += count;
  return index;
}

const Parameter* ParameterLayout::find(std::string_view name) const noexcept {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &parameters_[found->second];
}

}  // namespace ane::model
