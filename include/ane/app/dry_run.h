#pragma once

#include <cstdint>

#include "ane/app/data_choice.h"
#include "ane/cli/settings.h"

namespace ane::app {

/// `--dry-run`: prints kernels, the rules of the ANE that they break, compiles, restarts and memory, and writes the
/// kernels' programs to --dump-mil. Turns text into tokens. Unless the settings say --no-time, also runs a few steps
/// and compile rounds, and predicts the time of the run, which includes starting processes: this one started at
/// `started_ns` (train::monotonic_ns()). Returns the exit code; throws UsageError, DeviceError, FileError.
[[nodiscard]] int dry_run(cli::Settings settings, const DataPreparation& preparation, std::int64_t started_ns);

}  // namespace ane::app
