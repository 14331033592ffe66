#include "ane/app/shared_settings.h"

#include <algorithm>

#include "ane/app/model_choice.h"

namespace ane::app {
namespace {

constexpr std::string_view kAneGroup = "ANE";

std::vector<std::string_view> names_of(std::span<const SharedSetting> settings) {
  std::vector<std::string_view> names;
  for (const SharedSetting& setting : settings) names.push_back(setting.name);
  for (const cli::Setting& row : cli::settings_table())
    if (row.group == kAneGroup) names.push_back(row.name);
  return names;
}

}  // namespace

std::vector<cli::CommandOption> shared_options(std::span<const SharedSetting> settings) {
  std::vector<cli::CommandOption> options;
  for (const std::string_view name : names_of(settings)) {
    cli::CommandOption option = cli::option_of(cli::setting(name));
    if (option.group != kAneGroup) option.group.clear();
    const auto own = std::ranges::find(settings, name, &SharedSetting::name);
    if (own != settings.end() && own->help != nullptr) option.help = own->help;
    options.push_back(std::move(option));
  }
  return options;
}

cli::LoadedSettings load_shared_settings(const OptionValues& values, std::span<const SharedSetting> settings,
                                         const Invocation& invocation) {
  cli::LoadedSettings loaded = cli::load_settings(values.settings(names_of(settings)), invocation.environment);
  adopt_model_file(loaded);
  loaded.values.pipeline = false;  // which a variable may have set; there are no updates
  return loaded;
}

}  // namespace ane::app
