#include "ane/app/explore_command.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "ane/app/option_values.h"
#include "ane/app/signals.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"
#include "ane/explore/explore.h"
#include "ane/explore/verdicts.h"

namespace ane::app {
namespace {

constexpr int kNoEngineExit = 4;

std::filesystem::path file_of(const Invocation& invocation) {
  if (const auto path = explore::verdicts_file(invocation.environment)) return *path;
  throw FileError(
      "doctor --explore writes to the directory for caches, but HOME, which names it, is not an absolute path; set it");
}

std::string time_now() {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

auto print_question(cli::Terminal& terminal) {
  return [&terminal](std::size_t index, std::size_t count, const explore::Experiment& experiment) {
    terminal.print(fmt::format("  {}/{} {}: {}", index, count, experiment.name, experiment.question));
  };
}

/// Adds to the findings of an earlier exploration; false if all experiments failed.
bool write_findings(const std::filesystem::path& path, explore::Verdicts verdicts, cli::Terminal& terminal) {
  const bool all_failed =
      std::ranges::all_of(verdicts.findings, [](const auto& entry) { return explore::is_failure(entry.second); });
  if (all_failed) {
    terminal.print("Failed: the engine ran none of the experiments, so nothing was written.");
    return false;
  }
  explore::Known before = explore::read_verdicts(path, verdicts.machine);
  if (before.verdicts) verdicts.findings.merge(std::move(before.verdicts->findings));
  explore::write_verdicts(path, verdicts);
  terminal.print(
      fmt::format("Written to {}. Training runs on this machine adapt to it; ane-train doctor --show prints "
                  "it for a bug report.",
                  path.string()));
  return true;
}

}  // namespace

std::vector<cli::CommandOption> explore_options() {
  using Kind = cli::CommandOption::Kind;
  return {{.kind = Kind::toggle,
           .name = "explore",
           .help = "find out by experiments how this machine's engine behaves, so that runs can adapt to it",
           .group = "Exploration"},
          {.kind = Kind::toggle,
           .name = "quick",
           .help = "leave out the experiments that take minutes",
           .group = "Exploration"},
          {.kind = Kind::toggle,
           .name = "show",
           .help = "print what the last exploration found, for a bug report",
           .group = "Exploration"}};
}

void check_explore_options(const cli::FlagValues& values) {
  const OptionValues options(values);
  if (options.toggle("show") && options.toggle("explore"))
    throw UsageError("--show prints what an earlier --explore found; give one of them");
  if (options.toggle("quick") && !options.toggle("explore")) throw UsageError("--quick shortens --explore; give both");
}

int explore_engine(const device::apple::Probe& probe, bool quick, const Invocation& invocation,
                   cli::Terminal& terminal) {
  if (!probe.usable()) throw DeviceError(fmt::format("there is nothing to explore: {}", probe.reason()));
  const std::filesystem::path path = file_of(invocation);
  terminal.print(fmt::format("Exploring the Neural Engine{}:",
                             quick ? "" : ", which takes about 20 minutes (with --quick, one or two minutes)"));
  explore::Verdicts verdicts{
      .machine = explore::machine_of(probe, cli::release()), .explored = time_now(), .findings = {}};
  const StopSignals signals;
  try {
    explore::explore({.quick = quick, .environment = invocation.environment, .check_stop = [&] { signals.check(); }},
                     {.begins = print_question(terminal),
                      .ends = [&](const explore::Experiment& experiment, const explore::Finding& finding) {
                        terminal.print("      " + finding.words);
                        verdicts.findings.insert_or_assign(std::string(experiment.name), finding);
                      }});
  } catch (const Stopped&) {
    if (!verdicts.findings.empty()) static_cast<void>(write_findings(path, std::move(verdicts), terminal));
    throw;
  }
  return write_findings(path, std::move(verdicts), terminal) ? 0 : kNoEngineExit;
}

int show_verdicts(const device::apple::Probe& probe, const Invocation& invocation, cli::Terminal& terminal) {
  const std::filesystem::path path = file_of(invocation);
  const explore::Known known = explore::read_verdicts(path, explore::machine_of(probe, cli::release()));
  if (!known.ignored.empty()) throw FileError(known.ignored);
  if (!known.verdicts)
    throw FileError(fmt::format("{} does not exist: ane-train doctor --explore writes it", path.string()));
  terminal.write(explore::to_json(*known.verdicts));
  return 0;
}

int experiment_stage(const explore::StageRequest& request, const Invocation& invocation) {
  cli::Terminal terminal;
  explore::SystemClock system_clock;
  explore::Clock& clock = invocation.clock == nullptr ? system_clock : *invocation.clock;
  explore::run_stage(request, clock, [&](const std::string& line) { terminal.print(line); });
  return 0;
}

}  // namespace ane::app
