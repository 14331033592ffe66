#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ane/app/invocation.h"
#include "ane/app/option_values.h"
#include "ane/cli/command_line.h"
#include "ane/cli/settings.h"

/// Settings of a training run that other commands share: those that use a model without training it.
namespace ane::app {

/// A shared setting, with help that differs from that of a training run if it is not null.
struct SharedSetting {
  std::string_view name;
  const char* help = nullptr;
};

/// The options of these settings, and of those of the ANE.
[[nodiscard]] std::vector<cli::CommandOption> shared_options(std::span<const SharedSetting> settings);

/// Loads these settings and those of the ANE from the given options and the environment, and adopts the config of the
/// model that --model names. Throws UsageError, FileError.
[[nodiscard]] cli::LoadedSettings load_shared_settings(const OptionValues& values,
                                                       std::span<const SharedSetting> settings,
                                                       const Invocation& invocation);

}  // namespace ane::app
