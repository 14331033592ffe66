#include "ane/app/fine_tuning.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include "ane/app/model_choice.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/model/models.h"

namespace ane::app {
namespace {

std::vector<std::string> items_of(std::string_view list, std::string_view setting) {
  std::vector<std::string> items;
  while (true) {
    const std::size_t comma = list.find(',');
    items.emplace_back(list.substr(0, comma));
    if (items.back().empty()) throw UsageError(fmt::format("--{}: there is an empty name between commas", setting));
    if (comma == std::string_view::npos) return items;
    list.remove_prefix(comma + 1);
  }
}

bool matches(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

/// The modules that `--lora-targets` names, in the order of the layout.
std::vector<std::string> targeted_modules(const cli::Settings& settings, const model::ParameterLayout& base) {
  std::vector<std::string> projections;
  std::vector<std::string> modules;
  for (std::string& name : items_of(settings.lora_targets, "lora-targets"))
    (name.find('.') == std::string::npos ? projections : modules).push_back(std::move(name));
  const std::vector<std::string> named = model::modules_named(base, projections);
  modules.insert(modules.end(), named.begin(), named.end());
  std::vector<std::string> ordered;
  for (const std::string& module :
       model::modules_named(base, std::vector<std::string>(model::kProjections.begin(), model::kProjections.end())))
    if (std::ranges::count(modules, module) > 0) ordered.push_back(module);
  for (const std::string& module : modules)
    if (std::ranges::count(ordered, module) == 0)
      throw UsageError(fmt::format("--lora-targets: the model has no matrix '{}' that an adapter can change", module));
  return ordered;
}

/// The shortest text of `--lora-targets` that means these modules.
std::string targets_text(const std::vector<std::string>& modules, const model::ParameterLayout& base) {
  std::vector<std::string> projections;
  for (const std::string_view projection : model::kProjections)
    if (std::ranges::any_of(modules, [suffix = fmt::format(".{}", projection)](const std::string& module) {
          return module.ends_with(suffix);
        }))
      projections.emplace_back(projection);
  return fmt::format("{}", fmt::join(model::modules_named(base, projections) == modules ? projections : modules, ","));
}

/// Gives the setting `name` the text that an adapter has, unless it was given and differs.
void adopt(std::string_view name, const std::string& text, const std::string& place, cli::LoadedSettings& loaded) {
  const cli::Setting& row = cli::setting(name);
  cli::Settings adopted = loaded.values;
  if (!row.assign(text, adopted)) throw FileError(fmt::format("{}: its {} is {}", place, name, text));
  if (loaded.given(name) && row.show(loaded.values) != row.show(adopted))
    throw UsageError(fmt::format("{} is {} ({}), but the adapter in {} has {}; omit it to use the adapter's", row.key(),
                                 row.show(loaded.values), loaded.origin(name).place, place, row.show(adopted)));
  loaded.values = std::move(adopted);
  loaded.provenance[std::string(name)] = {cli::Origin::model_file, fmt::format("adapter {}", place)};
}

void adopt_directory(const model::ParameterLayout& base, cli::LoadedSettings& loaded) {
  const std::string directory = loaded.values.lora;
  if (std::error_code ignored; !std::filesystem::is_directory(directory, ignored))
    throw UsageError(fmt::format("--lora: '{}' is neither a rank nor the directory of an adapter", directory));
  const model::AdapterSource source = model::open_adapter(directory, base);
  if (source.adapter.alpha <= 0)
    throw FileError(
        fmt::format("{}: its scale is {}, but only a positive one can be trained", directory, source.adapter.scale()));
  adopt("lora-alpha", fmt::format("{}", source.adapter.alpha), directory, loaded);
  adopt("lora-rs", source.adapter.rank_stabilized ? "true" : "false", directory, loaded);
  if (!loaded.given("lora-targets") || targeted_modules(loaded.values, base) != source.adapter.modules)
    adopt("lora-targets", targets_text(source.adapter.modules, base), directory, loaded);
  loaded.values.lora = fmt::format("{}", source.adapter.rank);
  loaded.values.lora_from = directory;
  loaded.warnings.insert(loaded.warnings.end(), source.notes.begin(), source.notes.end());
}

void check_freeze(const cli::Settings& settings, const model::ParameterLayout& base) {
  for (const std::string& pattern : items_of(settings.freeze, "freeze"))
    if (std::ranges::none_of(base.parameters(), [&](const auto& each) { return matches(pattern, each.name); }))
      throw UsageError(fmt::format("--freeze: no parameter of the model matches '{}'; their names are like {} and {}",
                                   pattern, base.parameters().front().name, base.parameters()[1].name));
  if (std::ranges::all_of(base.parameters(), [&](const auto& each) { return is_frozen(settings, each); }))
    throw UsageError(
        fmt::format("--freeze {}: this freezes all parameters, and nothing is left to train", settings.freeze));
}

}  // namespace

void adopt_adapter(cli::LoadedSettings& loaded) {
  const cli::Settings& values = loaded.values;
  for (const std::string_view name : {"lora-alpha", "lora-targets", "lora-rs"})
    if (values.lora.empty() && loaded.given(name) && loaded.origin(name).origin != cli::Origin::checkpoint)
      throw UsageError(fmt::format("--{} is a setting of an adapter; add --lora RANK, or omit it", name));
  if (!is_fine_tuned(values)) return;
  const char* const setting = values.lora.empty() ? "--freeze" : "--lora";
  if (values.model.empty())
    throw UsageError(fmt::format("{} needs --model: the model whose parameters are frozen", setting));
  if (!values.lora.empty() && !values.freeze.empty()) throw UsageError("--lora freezes the whole model; omit --freeze");
  const model::ParameterLayout base = model::parameter_layout(model_config(values));
  if (!values.freeze.empty()) return check_freeze(values, base);
  if (values.pipeline) throw UsageError("--pipeline: with --lora, updates compile nothing; omit --pipeline");
  if (!cli::parse_integer(values.lora)) adopt_directory(base, loaded);
  static_cast<void>(model::adapter_parameters(adapter_of(values, base), base));
}

bool is_fine_tuned(const cli::Settings& settings) noexcept {
  return !settings.lora.empty() || !settings.freeze.empty();
}

bool is_frozen(const cli::Settings& settings, const model::Parameter& parameter) {
  if (!settings.lora.empty()) return true;
  if (settings.freeze.empty()) return false;
  const std::vector<std::string> patterns = items_of(settings.freeze, "freeze");
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches(pattern, parameter.name); });
}

model::Adapter adapter_of(const cli::Settings& settings, const model::ParameterLayout& base) {
  if (settings.lora.empty()) return {};
  const std::optional<std::int64_t> rank = cli::parse_integer(settings.lora);
  if (!rank || *rank < 1)
    throw UsageError(fmt::format("--lora: the rank is '{}', expected a whole number from 1", settings.lora));
  return {.rank = static_cast<std::size_t>(*rank),
          .alpha = settings.lora_alpha == 0 ? 2 * static_cast<double>(*rank) : settings.lora_alpha,
          .rank_stabilized = settings.lora_rank_stabilized,
          .modules = targeted_modules(settings, base)};
}

std::string adapter_text(const cli::Settings& settings, const model::Adapter& adapter) {
  if (adapter.modules.empty()) return {};
  return fmt::format("rank {}, scale {}, {}", adapter.rank, adapter.scale(), settings.lora_targets);
}

}  // namespace ane::app
