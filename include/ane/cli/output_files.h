#pragma once

#include "ane/cli/settings.h"

namespace ane::cli {

/// Before anything is opened for writing: throws UsageError, naming both settings, if a file that the run would write
/// (--telemetry, --profile) is one that another setting names, through whatever links, or one of the run's checkpoints.
void check_output_files(const LoadedSettings& loaded);

}  // namespace ane::cli
