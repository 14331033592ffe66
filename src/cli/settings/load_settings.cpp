#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/cli/configs.h"
#include "ane/cli/settings.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/train/optimizer.h"

namespace ane::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kVariablePrefix = "ANE_";
constexpr std::string_view kInternalPrefix = "ANE_TRAIN_";  // set by the program itself

void assign(const Setting& row, std::string_view value, const Provenance& provenance, LoadedSettings& loaded) {
  if (!row.assign(value, loaded.values)) {
    const std::string name = provenance.origin == Origin::flag          ? row.flag()
                             : provenance.origin == Origin::environment ? std::string(row.environment)
                                                                        : provenance.place + ": " + row.key();
    throw UsageError(fmt::format("{}: {}", name, wrong_value(value, row.expects)));
  }
  loaded.provenance[std::string(row.name)] = provenance;
}

/// A config value as the text of a flag, or nullopt if its JSON type does not fit the setting.
std::optional<std::string> as_text(const Setting& row, const Json& value) {
  switch (row.kind) {
    case ValueKind::number:
      if (value.is_number()) return value.dump();
      if (value.is_string() && !parse_real(value.get<std::string>())) return value.get<std::string>();  // "auto"
      return std::nullopt;
    case ValueKind::text:
    case ValueKind::choice:
      if (!value.is_string() || value.get<std::string>().find('\0') != std::string::npos) return std::nullopt;
      return value.get<std::string>();  // no path contains a NUL
    case ValueKind::toggle:
      return value.is_boolean() ? std::optional(value.dump()) : std::nullopt;
  }
  return std::nullopt;
}

/// The value with its relative paths moved from the config's directory to the current one.
std::string from_here(const Setting& row, const std::string& value, const std::filesystem::path& directory) {
  if (row.paths == Paths::none || directory.empty() || value.empty()) return value;
  if (row.paths == Paths::one_unless_number && parse_integer(value)) return value;
  if (row.paths != Paths::data) return (directory / value).string();
  if (value == data::kSynthetic || value == data::kStandardInput) return value;
  std::string files;
  for (const std::filesystem::path& file : data::files_in_list(value, directory))
    files += (files.empty() ? "" : ",") + file.string();
  return files;
}

/// JSON has no comments, and its library's message would not say so.
void refuse_comment(const ConfigText& config, std::size_t at) {
  if (at >= config.json.size() || (config.json[at] != '/' && config.json[at] != '#')) return;
  const auto begin = config.json.begin();
  const auto line = 1 + std::count(begin, begin + static_cast<std::ptrdiff_t>(at), '\n');
  throw FileError(
      fmt::format("{}: line {} has a comment, which JSON does not allow; remove it, or use the key "
                  "\"description\"",
                  config.place, line));
}

/// For a message; `dump` would recurse as deeply as the value is nested.
std::string shown(const Json& value) {
  return value.is_structured() ? fmt::format("an {}", value.type_name()) : value.dump();
}

Json parse_config(const ConfigText& config) {
  std::set<std::string> keys;
  const auto refuse_twice = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second) {
      throw UsageError(fmt::format("{}: '{}' is given twice; keep one", config.place, parsed.get<std::string>()));
    }
    return true;
  };
  try {
    Json json = Json::parse(config.json, refuse_twice);
    if (!json.is_object()) throw FileError(fmt::format("{}: expected an object, {{...}}", config.place));
    return json;
  } catch (const Json::parse_error& error) {
    refuse_comment(config, error.byte - std::min<std::size_t>(error.byte, 1));
    throw FileError(fmt::format("{} is not JSON: {}", config.place, error.what()));
  } catch (const Json::exception& error) {
    throw FileError(fmt::format("{} is not JSON: {}", config.place, error.what()));
  }
}

void load_config(const std::string& name_or_file, LoadedSettings& loaded) {
  const ConfigText config = find_config(name_or_file);
  const std::span<const Setting> rows = settings_table();
  std::vector<std::string> keys;
  for (const Setting& row : rows) {
    if (!row.command_line_only) keys.push_back(row.key());
  }
  const Json json = parse_config(config);
  for (const auto& [key, value] : json.items()) {
    if (key == "description") continue;
    const auto row = std::find_if(rows.begin(), rows.end(), [&, &name = key](const Setting& candidate) {
      return candidate.key() == name && !candidate.command_line_only;
    });
    if (row == rows.end()) {
      throw UsageError(fmt::format("{}: unknown setting '{}'{}", config.place, key, did_you_mean(key, keys)));
    }
    const std::optional<std::string> text = as_text(*row, value);
    if (!text) throw UsageError(fmt::format("{}: {}: {} is not {}", config.place, key, shown(value), row->expects));
    assign(*row, from_here(*row, *text, config.directory), {Origin::config, config.place}, loaded);
  }
}

void load_environment(std::span<const std::string> environment, LoadedSettings& loaded) {
  std::vector<std::string> variables;
  for (const Setting& row : settings_table()) {
    if (!row.environment.empty()) variables.emplace_back(row.environment);
  }
  for (const std::string& entry : environment) {
    if (!entry.starts_with(kVariablePrefix) || entry.starts_with(kInternalPrefix)) continue;
    const std::size_t equals = std::min(entry.find('='), entry.size());
    const std::string name = entry.substr(0, equals);
    const auto rows = settings_table();
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const Setting& each) { return each.environment == name; });
    if (row == rows.end()) {
      loaded.warnings.push_back(
          fmt::format("ignoring unknown environment variable {}{}", name, did_you_mean(name, variables)));
      continue;
    }
    const std::string_view value = std::string_view(entry).substr(std::min(equals + 1, entry.size()));
    assign(*row, value, {Origin::environment, name}, loaded);
  }
}

/// Takes from the checkpoint what nothing else gives. The row of the family precedes the rows that depend on it.
void load_recorded(const RecordedSettings& recorded, LoadedSettings& loaded) {
  for (const Setting& row : settings_table()) {
    const auto found = recorded.values.find(row.name);
    if (row.from_checkpoint == FromCheckpoint::never || found == recorded.values.end() || loaded.given(row.name))
      continue;
    if (row.llama_only && loaded.values.family == model::Family::mlp) continue;
    if (row.kind == ValueKind::text && found->second.empty()) continue;  // it was not given
    if (row.name == "data" && found->second == data::kStandardInput)
      throw UsageError(fmt::format(
          "{}: its run read the data from standard input; give the same data again with --data -", recorded.place));
    Settings taken = loaded.values;
    if (!row.assign(found->second, taken)) {
      if (found->second == row.show(Settings())) continue;  // it was not given, such as --steps
      loaded.warnings.push_back(                            // another version of the program may have written it
          fmt::format("{}: ignoring {} '{}', which is not {}", recorded.place, row.key(), found->second, row.expects));
      continue;
    }
    if (row.from_checkpoint == FromCheckpoint::if_larger &&
        parse_integer(row.show(taken)) <= parse_integer(row.show(loaded.values)))
      continue;
    loaded.values = std::move(taken);
    loaded.provenance[std::string(row.name)] = {Origin::checkpoint, recorded.place};
  }
}

/// An option that not every optimizer uses.
struct OptimizerOption {
  std::string_view name;
  double train::OptimizerOptions::*value;
  std::optional<double> train::OptimizerInfo::*preset;
};
constexpr std::array kOptimizerOptions = {
    OptimizerOption{"momentum", &train::OptimizerOptions::momentum, &train::OptimizerInfo::momentum},
    OptimizerOption{"beta1", &train::OptimizerOptions::beta1, &train::OptimizerInfo::beta1},
    OptimizerOption{"beta2", &train::OptimizerOptions::beta2, &train::OptimizerInfo::beta2}};

/// Sets what is not given to the optimizer's own defaults, and warns of flags that it does not use. A config may have
/// values for several optimizers.
void adopt_optimizer_defaults(LoadedSettings& loaded) {
  const train::OptimizerInfo& optimizer = train::optimizer_info(loaded.values.optimizer.kind);
  const auto warn_if_given = [&](std::string_view name) {
    if (loaded.origin(name).origin == Origin::flag)
      loaded.warnings.push_back(
          fmt::format("--{} has no effect: --optimizer {} does not use it", name, optimizer.name));
  };
  for (const OptimizerOption& option : kOptimizerOptions) {
    const std::optional<double>& preset = optimizer.*option.preset;
    if (!preset) warn_if_given(option.name);
    if (preset && !loaded.given(option.name)) loaded.values.optimizer.*option.value = *preset;
  }
  if (!optimizer.has_eps) warn_if_given("eps");
  if (optimizer.kind == train::OptimizerKind::muon && !loaded.values.lora.empty())
    loaded.warnings.emplace_back(
        "--optimizer muon is the same as adamw here: with --lora only adapters are trained, which AdamW updates");
}

/// Checks combinations of values.
void check_together(const LoadedSettings& loaded) {
  const Settings& values = loaded.values;
  const auto named = [&](std::string_view name) {
    return fmt::format("{} ({})", setting(name).key(), loaded.origin(name).place);
  };
  if (values.optimizer.schedule == train::ScheduleKind::cosine && values.optimizer.min_lr > values.optimizer.lr) {
    throw UsageError(fmt::format("{} is {}, above {}, which is {}; a cosine schedule falls from lr to min_lr",
                                 named("min-lr"), values.optimizer.min_lr, named("lr"), values.optimizer.lr));
  }
  if (values.max_minutes > 0 && values.steps == 0 && values.optimizer.schedule == train::ScheduleKind::cosine)
    throw UsageError(
        fmt::format("{} is cosine, which falls until --steps N, but that is not given: --max-minutes does not say how "
                    "many steps there will be. Add --steps N, or use --schedule constant",
                    named("schedule")));
  const bool resumes = values.resume != ResumeChoice::never;
  if (values.checkpoint_dir.empty() &&
      (resumes || values.checkpoint_every > 0 || values.checkpoint_minutes > 0 || values.keep_best)) {
    throw UsageError(fmt::format("{} needs --checkpoint-dir DIR: where the checkpoints are",
                                 resumes                         ? "--resume"
                                 : values.checkpoint_every > 0   ? "--checkpoint-every"
                                 : values.checkpoint_minutes > 0 ? "--checkpoint-minutes"
                                                                 : "--keep-best"));
  }
  if (values.keep_best && values.val_every == 0)
    throw UsageError("--keep-best needs --val-every N: without it, only the last state is validated");
  if (values.sample_every > 0 && values.sample_prompt.empty())
    throw UsageError(
        fmt::format("{} needs --sample-prompt TEXT: the text that samples continue", named("sample-every")));
  if (values.sample_every == 0 && !values.sample_prompt.empty())
    throw UsageError(fmt::format("{} needs --sample-every N: the updates between samples", named("sample-prompt")));
  if (values.device == DeviceChoice::ane && values.precision == mil::DType::fp32) {
    throw UsageError("--precision fp32 runs only on the host; the ANE computes in fp16 (use --device host)");
  }
  if (values.pipeline && values.weights != WeightsChoice::baked) {
    throw UsageError(fmt::format("{} overlaps the compiles of baked weights with steps, but {} is {}; omit one of them",
                                 named("pipeline"), named("weights"), setting("weights").show(values)));
  }
  if (values.family != model::Family::mlp) return;
  for (const Setting& row : settings_table()) {
    if (row.llama_only && loaded.given(row.name)) {
      throw UsageError(fmt::format("{} does not apply to an mlp (family comes from {})", named(row.name),
                                   loaded.origin("family").place));
    }
  }
  if (values.data != data::kSynthetic) {
    throw UsageError(fmt::format("data '{}': an mlp trains only on synthetic data (family comes from {})", values.data,
                                 loaded.origin("family").place));
  }
}

}  // namespace

Provenance LoadedSettings::origin(std::string_view name) const {
  const auto found = provenance.find(name);
  return found == provenance.end() ? Provenance{} : found->second;
}

LoadedSettings load_settings(const FlagValues& flags, std::span<const std::string> environment,
                             const FindRecorded& find_recorded) {
  LoadedSettings loaded;
  const auto assign_flag = [&](const std::string& name, const std::string& value) {
    const Setting& row = setting(name);
    assign(row, value, {Origin::flag, row.flag()}, loaded);
  };
  if (const auto config = flags.find("config"); config != flags.end()) {
    assign_flag(config->first, config->second);
    load_config(config->second, loaded);
  }
  load_environment(environment, loaded);
  for (const auto& [name, value] : flags) assign_flag(name, value);
  if (find_recorded)
    if (const std::optional<RecordedSettings> recorded = find_recorded(loaded.values)) load_recorded(*recorded, loaded);
  adopt_optimizer_defaults(loaded);
  check_together(loaded);
  return loaded;
}

FlagValues freeze(const Settings& settings) {
  FlagValues frozen;
  for (const Setting& row : settings_table()) frozen[std::string(row.name)] = row.show(settings);
  return frozen;
}

Settings thaw(const FlagValues& frozen) {
  Settings settings;
  for (const Setting& row : settings_table()) {
    const auto found = frozen.find(row.name);
    if (found == frozen.end() || found->second == row.show(settings)) continue;  // the default may not be a valid value
    if (!row.assign(found->second, settings)) {
      throw UsageError(
          fmt::format("{}: '{}' of the previous process is not {}", row.key(), found->second, row.expects));
    }
  }
  return settings;
}

std::string describe(const LoadedSettings& settings) {
  std::string text;
  for (const Setting& row : settings_table()) {
    const std::string value = row.name == "steps" && settings.values.steps == 0 ? "" : row.show(settings.values);
    text += fmt::format("{:<18} {:<24} {}\n", row.key(), value.empty() ? "-" : value, settings.origin(row.name).place);
  }
  return text;
}

}  // namespace ane::cli
