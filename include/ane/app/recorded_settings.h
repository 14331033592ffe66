#pragma once

#include <optional>

#include "ane/cli/settings.h"

namespace ane::app {

/// The settings that the newest checkpoint of the run to be resumed records, as cli::FindRecorded describes. nullopt if
/// `given` resumes no run, or if no record can be read; loading the checkpoint then reports why. Throws FileError if
/// the checkpoint directory cannot be read, unless `--resume auto` may start a new run there.
[[nodiscard]] std::optional<cli::RecordedSettings> find_recorded_settings(cli::Settings& given);

}  // namespace ane::app
