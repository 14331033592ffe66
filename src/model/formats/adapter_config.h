#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ane/model/adapter.h"

#include "formats/json_object.h"

/// adapter_config.json, as PEFT and mlx-lm write it.
namespace ane::model {

/// What adapter_config.json says about an adapter of a model.
struct AdapterConfig {
  Adapter adapter;
  std::string base_model;          ///< empty if it does not say
  std::vector<std::string> notes;  ///< what has no effect here
};

/// Throws FileError for a config that PEFT would not write or that asks for something unsupported.
[[nodiscard]] AdapterConfig parse_peft_config(const JsonObject& entries, const ParameterLayout& base);

/// The same for mlx-lm's config. `adapted` are the modules in the adapter's file, which decide where the config names
/// none.
[[nodiscard]] AdapterConfig parse_mlx_config(const JsonObject& entries, const ParameterLayout& base,
                                             const std::set<std::string, std::less<>>& adapted);

/// The text of mlx-lm's config.
[[nodiscard]] std::string mlx_config_text(const Adapter& adapter, const ParameterLayout& base,
                                          std::string_view base_model);

}  // namespace ane::model
