#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ane/cli/command_line.h"

namespace ane::app {

/// `ane-train report RUN.jsonl... [--out FILE.html]`: a page with charts of recorded runs.
[[nodiscard]] cli::Command report_options();
/// Draws all runs of these telemetry files. Returns what was written: "report.html: 2 runs, 40 KB". Throws FileError.
std::string write_report(const std::vector<std::string>& telemetry, const std::filesystem::path& page);
/// Returns the exit code. Throws UsageError and FileError.
[[nodiscard]] int report_command(const cli::FlagValues& given);

}  // namespace ane::app
