#pragma once

#include "ane/cli/settings.h"

namespace ane::app {

/// Throws UsageError, naming both settings, if a file that the run would write (--telemetry, --report, --profile) is
/// also named by another setting, through whatever links, or is one of the run's checkpoints. Call it before anything
/// is opened for writing.
void check_output_files(const cli::LoadedSettings& loaded);

}  // namespace ane::app
