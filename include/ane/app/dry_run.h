#pragma once

#include "ane/app/data_choice.h"
#include "ane/cli/settings.h"

namespace ane::app {

/// `--dry-run`: prints kernels, the rules of the ANE that they break, compiles, restarts and memory, and writes the
/// kernels' programs to --dump-mil. Runs nothing, but turns text into tokens. Returns the exit code; throws UsageError,
/// DeviceError, FileError.
[[nodiscard]] int dry_run(cli::Settings settings, const DataPreparation& preparation);

}  // namespace ane::app
