#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/core/error.h"

#include "formats/adapter_config.h"
#include "formats/module_names.h"
#include "formats/name_pattern.h"

namespace ane::model {
namespace {

using Json = JsonObject::Json;

/// An entry that changes what the adapter computes or which tensors it has.
struct UnsupportedEntry {
  const char* key;
  const char* kind;
};
constexpr std::array kUnsupported = {
    UnsupportedEntry{"use_dora", "DoRA"},
    UnsupportedEntry{"use_qalora", "QALoRA"},
    UnsupportedEntry{"use_bdlora", "block-diagonal matrices"},
    UnsupportedEntry{"rank_pattern", "per-module ranks"},
    UnsupportedEntry{"alpha_pattern", "per-module scales"},
    UnsupportedEntry{"modules_to_save", "fully trained modules"},
    UnsupportedEntry{"layers_to_transform", "a selection of layers"},
    UnsupportedEntry{"layer_replication", "repeated layers"},
    UnsupportedEntry{"fan_in_fan_out", "transposed weights"},
    UnsupportedEntry{"lora_bias", "biases"},
    UnsupportedEntry{"trainable_token_indices", "trained token embeddings"},
    UnsupportedEntry{"target_parameters", "parameters as targets"},
    UnsupportedEntry{"alora_invocation_tokens", "activation by invocation tokens"},
    UnsupportedEntry{"arrow_config", "routing between adapters"},
};

/// Beginnings of the values of `init_lora_weights` that change the weights of the base model.
constexpr std::array<std::string_view, 5> kChangesOfBase = {"pissa", "olora", "corda", "loftq", "lora_ga"};

constexpr const char* kAdvice = "merge the adapter with PEFT (merge_and_unload) and use the whole model";

bool has_no_effect(const Json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

void refuse_unsupported(const JsonObject& entries) {
  entries.expect("peft_type", "LORA");
  entries.expect("bias", "none");
  for (const auto& [key, kind] : kUnsupported)
    if (entries.has(key) && !has_no_effect(entries.at(key)))
      throw FileError(fmt::format("{}: '{}' is set, but adapters with {} are not supported; {}", entries.place(), key,
                                  kind, kAdvice));
  if (!entries.has("init_lora_weights") || !entries.at("init_lora_weights").is_string()) return;
  const std::string initialization = entries.text("init_lora_weights");
  if (std::ranges::any_of(kChangesOfBase, [&](std::string_view kind) { return initialization.starts_with(kind); }))
    throw FileError(
        fmt::format("{}: 'init_lora_weights' is '{}', which changes the weights of the base model, and that "
                    "is not supported; {}",
                    entries.place(), initialization.substr(0, 40), kAdvice));
}

/// A choice of modules: names, or ends of names that follow a dot; or an expression that matches a whole name.
class ModuleChoice {
 public:
  ModuleChoice(const JsonObject& entries, const char* key) {
    if (!entries.at(key).is_string()) {
      if (!entries.at(key).is_array()) entries.refuse(key, "a list of modules, a regular expression or \"all-linear\"");
      names_ = entries.texts(key);
    } else {
      pattern_.emplace(entries.text(key));
    }
  }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  [[nodiscard]] bool matches(std::string_view module) const {
    return pattern_ ? pattern_->matches(module)
                    : std::ranges::any_of(names_, [&](const std::string& name) { return chooses(name, module); });
  }
  [[nodiscard]] static bool chooses(std::string_view name, std::string_view module) {
    if (!module.ends_with(name) || name.empty()) return false;
    return module.size() == name.size() || module[module.size() - name.size() - 1] == '.';
  }

 private:
  std::vector<std::string> names_;
  std::optional<NamePattern> pattern_;
};

bool is_all_linear(const JsonObject& entries, const char* key) {
  if (!entries.at(key).is_string()) return false;
  std::string text = entries.text(key);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text == "all-linear";
}

/// The names of all modules of the model that have a weight.
std::vector<std::string_view> modules_of(const ParameterLayout& base) {
  std::vector<std::string_view> modules;
  for (const Parameter& parameter : base.parameters())
    if (const std::string_view module = module_of(parameter); !module.empty()) modules.push_back(module);
  return modules;
}

std::vector<std::string> chosen_modules(const JsonObject& entries, const ParameterLayout& base) {
  constexpr const char* kKey = "target_modules";
  if (is_all_linear(entries, kKey)) return projections_of(base);
  const ModuleChoice targets(entries, kKey);
  const std::vector<std::string_view> modules = modules_of(base);
  for (const std::string& name : targets.names())
    if (std::ranges::none_of(modules, [&](std::string_view module) { return ModuleChoice::chooses(name, module); }))
      throw UsageError(fmt::format("'{}': the model has no module '{}'", kKey, name.substr(0, 80)));
  std::vector<std::string> chosen;
  for (const std::string_view module : modules)
    if (targets.matches(module)) chosen.emplace_back(module);
  if (chosen.empty()) throw UsageError(fmt::format("'{}' matches no module of the model", kKey));
  return chosen;
}

/// The modules that the adapter changes, in the order of the layout.
std::vector<std::string> adapted_modules(const JsonObject& entries, const ParameterLayout& base) try {
  std::vector<std::string> modules = chosen_modules(entries, base);
  if (entries.has("exclude_modules") && !has_no_effect(entries.at("exclude_modules"))) {
    const ModuleChoice excluded(entries, "exclude_modules");
    std::erase_if(modules, [&](const std::string& module) { return excluded.matches(module); });
  }
  for (const std::string& module : modules)
    if (!is_projection(module))
      throw UsageError(
          fmt::format("the adapter changes '{}', but only {} can be changed", module, fmt::join(kProjections, ", ")));
  return modules;
} catch (const UsageError& error) {
  throw FileError(fmt::format("{}: {}", entries.place(), error.what()));
}

/// The shortest names that choose these modules of the model: short names if all layers have the same modules.
std::vector<std::string> target_names(const Adapter& adapter, const ParameterLayout& base) {
  std::set<std::string> names;
  for (const std::string& module : adapter.modules) names.emplace(projection_name(module));
  std::vector<std::string> targets(names.begin(), names.end());
  return modules_named(base, targets) == adapter.modules ? targets : adapter.modules;
}

/// PEFT's type of alpha is a whole number, but others work.
Json number_of(double value) {
  constexpr double kLargest = 1LL << 53;
  if (std::abs(value) < kLargest && std::trunc(value) == value) return static_cast<std::int64_t>(value);
  return value;
}

}  // namespace

AdapterConfig parse_peft_config(const JsonObject& entries, const ParameterLayout& base) {
  refuse_unsupported(entries);
  AdapterConfig config;
  config.adapter.rank = entries.size("r");
  config.adapter.alpha = entries.number("lora_alpha");
  config.adapter.rank_stabilized = entries.has("use_rslora") && entries.flag("use_rslora");
  config.adapter.modules = adapted_modules(entries, base);
  if (entries.has("base_model_name_or_path")) config.base_model = entries.text("base_model_name_or_path");
  if (const double dropout = entries.has("lora_dropout") ? entries.number("lora_dropout") : 0; dropout != 0)
    config.notes.push_back(fmt::format("{}: its dropout of {} is ignored", entries.place(), dropout));
  return config;
}

std::string peft_config_text(const Adapter& adapter, const ParameterLayout& base, std::string_view base_model) {
  // The entries that PEFT has had since it reads use_rslora (version 0.8), in its order.
  const Json entries = {{"alpha_pattern", Json::object()},
                        {"auto_mapping", nullptr},
                        {"base_model_name_or_path", base_model},
                        {"bias", "none"},
                        {"fan_in_fan_out", false},
                        {"inference_mode", true},
                        {"init_lora_weights", true},
                        {"layers_pattern", nullptr},
                        {"layers_to_transform", nullptr},
                        {"lora_alpha", number_of(adapter.alpha)},
                        {"lora_dropout", 0.0},
                        {"modules_to_save", nullptr},
                        {"peft_type", "LORA"},
                        {"r", adapter.rank},
                        {"rank_pattern", Json::object()},
                        {"revision", nullptr},
                        {"target_modules", target_names(adapter, base)},
                        {"task_type", "CAUSAL_LM"},
                        {"use_rslora", adapter.rank_stabilized}};
  return entries.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ane::model
