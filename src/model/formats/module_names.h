#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/adapter.h"

/// Parts of the names of modules, such as "model.layers.0.self_attn.q_proj".
namespace ane::model {

inline constexpr const char* kWeight = ".weight";

/// The module whose weight the parameter is; empty if it is none.
inline std::string_view module_of(const Parameter& parameter) {
  const std::string_view name = parameter.name;
  return name.ends_with(kWeight) ? name.substr(0, name.size() - std::string_view(kWeight).size()) : std::string_view();
}
/// "q_proj"
inline std::string_view projection_name(std::string_view module) { return module.substr(module.rfind('.') + 1); }
/// "self_attn.q_proj"
inline std::string_view name_in_layer(std::string_view module) {
  const std::size_t last = module.rfind('.');
  const std::size_t dot = last == 0 || last == std::string_view::npos ? last : module.rfind('.', last - 1);
  return module.substr(dot + 1);
}
/// "model.layers.0"
inline std::string_view layer_of(std::string_view module) {
  const std::size_t rest = name_in_layer(module).size() + 1;
  return module.substr(0, module.size() > rest ? module.size() - rest : 0);
}
inline bool is_projection(std::string_view module) {
  return std::ranges::count(kProjections, projection_name(module)) > 0;
}

/// All modules that an adapter can change, in the order of the layout.
[[nodiscard]] std::vector<std::string> projections_of(const ParameterLayout& base);

}  // namespace ane::model
