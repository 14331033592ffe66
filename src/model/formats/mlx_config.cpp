#include <algorithm>
#include <cstdint>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/error.h"

#include "formats/adapter_config.h"
#include "formats/module_names.h"

namespace ane::model {
namespace {

using Json = JsonObject::Json;

constexpr const char* kParameters = "lora_parameters";

/// The layers that have projections, in order: "model.layers.0".
std::vector<std::string> layers_of(const ParameterLayout& base) {
  std::vector<std::string> layers;
  for (const std::string& module : projections_of(base))
    if (layers.empty() || layers.back() != layer_of(module)) layers.emplace_back(layer_of(module));
  return layers;
}

/// The last layers, as many as `num_layers` says. mlx-lm takes all if it is not positive or exceeds their number.
std::set<std::string, std::less<>> adapted_layers(const JsonObject& entries, const ParameterLayout& base) {
  const std::vector<std::string> layers = layers_of(base);
  const std::int64_t given = entries.integer("num_layers");
  const auto all = static_cast<std::int64_t>(layers.size());
  const std::int64_t count = given <= 0 ? all : std::min(given, all);
  return {layers.end() - count, layers.end()};
}

/// The modules that the entry `keys` chooses: by their names in the last layers, or by their full names in all.
std::vector<std::string> keyed_modules(const JsonObject& entries, const JsonObject& parameters,
                                       const ParameterLayout& base) {
  const std::set<std::string, std::less<>> layers = adapted_layers(entries, base);
  const std::vector<std::string> keys = parameters.texts("keys");
  const std::set<std::string, std::less<>> given(keys.begin(), keys.end());
  std::set<std::string, std::less<>> used;
  std::vector<std::string> modules;
  for (const std::string& module : projections_of(base)) {
    const bool by_name = given.contains(name_in_layer(module));
    const bool is_full = given.contains(module);
    if (by_name) used.emplace(name_in_layer(module));
    if (is_full) used.emplace(module);
    if (is_full || (by_name && layers.contains(layer_of(module)))) modules.push_back(module);
  }
  for (const std::string& key : given)
    if (!used.contains(key))
      throw FileError(
          fmt::format("{}: '{}.keys' names '{}', which an adapter cannot change; supported are modules such as "
                      "self_attn.q_proj, for {}",
                      entries.place(), kParameters, key.substr(0, 80), fmt::join(kProjections, ", ")));
  return modules;
}

}  // namespace

AdapterConfig parse_mlx_config(const JsonObject& entries, const ParameterLayout& base,
                               const std::set<std::string, std::less<>>& adapted) {
  if (!entries.has(kParameters))
    throw FileError(fmt::format("{}: it has neither 'peft_type' nor '{}', so it is neither PEFT's nor MLX's",
                                entries.place(), kParameters));
  entries.expect("fine_tune_type", "lora");
  entries.expect("use_dora", false);
  const JsonObject parameters = entries.object(kParameters);
  AdapterConfig config;
  config.adapter.rank = parameters.size("rank");
  config.adapter.alpha = parameters.number("scale") * static_cast<double>(config.adapter.rank);
  if (parameters.has("keys")) {
    config.adapter.modules = keyed_modules(entries, parameters, base);
  } else {
    // Which modules mlx-lm adapts then depends on its version.
    const std::set<std::string, std::less<>> layers = adapted_layers(entries, base);
    for (const std::string& module : projections_of(base))
      if (layers.contains(layer_of(module)) && adapted.contains(module)) config.adapter.modules.push_back(module);
  }
  if (entries.has("model")) config.base_model = entries.text("model");
  if (const double dropout = parameters.has("dropout") ? parameters.number("dropout") : 0; dropout != 0)
    config.notes.push_back(fmt::format("{}: its dropout of {} is ignored", entries.place(), dropout));
  return config;
}

std::string mlx_config_text(const Adapter& adapter, const ParameterLayout& base, std::string_view base_model) {
  const std::vector<std::string> layers = layers_of(base);
  const auto first = std::ranges::find(layers, layer_of(adapter.modules.front()));
  const std::set<std::string, std::less<>> last(first, layers.end());
  std::set<std::string, std::less<>> keys;
  for (const std::string& module : adapter.modules) keys.emplace(name_in_layer(module));
  std::vector<std::string> keyed = projections_of(base);
  std::erase_if(keyed, [&](const std::string& module) {
    return !keys.contains(name_in_layer(module)) || !last.contains(layer_of(module));
  });
  // Full names if the layers have different modules.
  if (keyed != adapter.modules) keys = {adapter.modules.begin(), adapter.modules.end()};
  const Json entries = {
      {"fine_tune_type", "lora"},
      {"lora_parameters", {{"dropout", 0.0}, {"keys", keys}, {"rank", adapter.rank}, {"scale", adapter.scale()}}},
      {"model", base_model},
      {"num_layers", last.size()}};
  return entries.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ane::model
