#pragma once

#include <vector>

#include "ane/app/invocation.h"
#include "ane/cli/command_line.h"
#include "ane/cli/terminal.h"
#include "ane/device/apple/probe.h"
#include "ane/explore/experiments.h"

/// `ane-train doctor --explore [--quick]` and `--show`.
namespace ane::app {

[[nodiscard]] std::vector<cli::CommandOption> explore_options();
/// Throws UsageError for options that exclude each other or have no effect.
void check_explore_options(const cli::FlagValues& values);

/// Makes the experiments, prints what they find and writes it to the user's directory for caches. Findings of earlier
/// explorations of the same machine stay if `quick` leaves out their experiments. Returns the exit code: 4 if the
/// engine ran nothing. Throws DeviceError if there is no engine, FileError if the file cannot be written.
[[nodiscard]] int explore_engine(const device::apple::Probe& probe, bool quick, const Invocation& invocation,
                                 cli::Terminal& terminal);

/// Prints the file. Throws FileError if there is none, or if it cannot be used for this machine.
[[nodiscard]] int show_verdicts(const device::apple::Probe& probe, const Invocation& invocation,
                                cli::Terminal& terminal);

/// Runs a stage of an experiment in this process, which an exploration has started for it. Returns the exit code.
[[nodiscard]] int experiment_stage(const explore::StageRequest& request, const Invocation& invocation);

}  // namespace ane::app
