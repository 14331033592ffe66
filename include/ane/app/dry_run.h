#pragma once

#include "ane/cli/settings.h"

namespace ane::app {

/// `--dry-run`: prints kernels, the rules of the ANE that they break, compiles, restarts and memory, and writes the
/// kernels' programs to --dump-mil. Runs nothing. Returns the exit code; throws UsageError, DeviceError, FileError.
[[nodiscard]] int dry_run(const cli::Settings& settings);

}  // namespace ane::app
