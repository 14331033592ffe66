#include "ane/app/doctor_command.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/device_probes.h"
#include "ane/app/devices.h"
#include "ane/app/explore_command.h"
#include "ane/app/option_values.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"
#include "ane/core/machine_names.h"
#include "ane/device/apple/probe.h"
#include "ane/device/host/host_device.h"

namespace ane::app {
namespace {

constexpr int kDeviceExit = 4;

double memory_bytes() {
  return static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Lists all libraries, the classes, methods and functions that are missing or differ, and a count; outside macOS it
/// says only that there are none.
void print_engine(const device::apple::Probe& probe, cli::Terminal& terminal) {
  using Kind = device::apple::Finding::Kind;
  const auto found = std::ranges::count(probe.findings, true, &device::apple::Finding::found);
  if (found == 0) {
    terminal.print("Apple Neural Engine: not present");
    return;
  }
  terminal.print("Apple Neural Engine:");
  for (const device::apple::Finding& finding : probe.findings) {
    const bool notable = finding.kind == Kind::library || !finding.found || !finding.note.empty();
    if (notable)
      terminal.print(fmt::format("  {}{}", device::apple::to_string(finding), finding.required ? "" : " (optional)"));
  }
  terminal.print(
      fmt::format("  {} of {} libraries, functions, classes and methods found", found, probe.findings.size()));
  if (probe.virtual_machine.value_or(false)) terminal.print("  this is a virtual machine");
  if (probe.has_ane) terminal.print(fmt::format("  reported by the framework: {}", *probe.has_ane ? "yes" : "no"));
  if (!probe.architecture.empty()) terminal.print(fmt::format("  architecture: {}", probe.architecture));
  if (probe.cores) terminal.print(fmt::format("  cores: {}", *probe.cores));
}

void print_machine(const device::apple::Probe& probe, math::ThreadPool& threads, cli::Terminal& terminal) {
  const MachineNames names = machine_names();
  terminal.print(cli::version_text());
  terminal.print(fmt::format("System: {}; processor: {}; memory: {}", probe.os.empty() ? names.system : probe.os,
                             probe.chip.empty() ? names.processor : probe.chip, cli::human_bytes(memory_bytes())));
  terminal.print(fmt::format("CPU: {}", device::host::HostDevice(threads).description()));
}

/// Summary of the probes.
struct Verdict {
  bool needed = true;   ///< the probes that every run needs passed
  bool matrix = false;  ///< whether each form of RoPE passed
  bool slices = false;
  [[nodiscard]] bool can_train() const { return needed && (matrix || slices); }
  [[nodiscard]] std::string text() const {
    if (!can_train())
      return "Failed: do not trust a training run on this device. Please send this output with your chip and system "
             "version to the project.";
    if (!matrix) return "Passed with --rope slices: this device can train, but not with --rope matrix, the default.";
    return "Passed: this device can train.";
  }
};

/// `warnings` receives the device's warnings.
Verdict run_probes(device::Device& device, device::Device& host, std::vector<std::string>& warnings,
                   cli::Terminal& terminal) {
  Verdict verdict;
  for (const DeviceProbe& probe : device_probes()) {
    const ProbeResult result = run_probe(probe, device, host);
    const bool right = result.right(device.approximates());
    if (probe.setting.empty()) verdict.needed = verdict.needed && right;
    if (probe.setting == "matrix") verdict.matrix = right;
    if (probe.setting == "slices") verdict.slices = right;
    const std::string detail = result.failure.empty()
                                   ? fmt::format("differs from plain arithmetic by {:.1e}, from the host by {:.1e}",
                                                 result.from_expected, result.from_host)
                                   : result.failure;
    const std::string needed_by = probe.setting.empty() ? "" : fmt::format(" (for --rope {})", probe.setting);
    terminal.print(fmt::format("  {:5} {}{}: {}", right ? "ok" : "WRONG", probe.name, needed_by, detail));
    for (const std::string& warning : std::exchange(warnings, {})) terminal.print("        warning: " + warning);
  }
  return verdict;
}

/// Settings that are options of doctor.
std::vector<std::string_view> setting_names() {
  std::vector<std::string_view> names;
  for (const cli::Setting& row : cli::settings_table())
    if (row.name == "device" || row.group == "ANE") names.push_back(row.name);
  return names;
}

}  // namespace

cli::Command doctor_options() {
  cli::Command command{
      "doctor", "Shows what this machine offers and checks that the selected device computes correctly.", {}};
  for (const std::string_view name : setting_names()) {
    cli::Setting row = cli::setting(name);
    row.environment = {};  // doctor ignores the environment
    command.options.push_back(cli::option_of(row));
  }
  for (cli::CommandOption& option : explore_options()) command.options.push_back(std::move(option));
  return command;
}

int doctor_command(const cli::FlagValues& values, const Invocation& invocation) {
  cli::Terminal terminal;
  const OptionValues options(values);
  check_explore_options(values);
  const cli::Settings settings = cli::load_settings(options.settings(setting_names()), {}).values;
  math::ThreadPool threads(math::processor_count());
  const device::apple::Probe probe = device::apple::probe();
  if (options.toggle("show")) return show_verdicts(probe, invocation, terminal);
  print_machine(probe, threads, terminal);
  if (options.toggle("explore")) return explore_engine(probe, options.toggle("quick"), invocation, terminal);
  print_engine(probe, terminal);
  terminal.print(fmt::format("auto selects: {}",
                             probe.usable_unasked() ? "ane" : fmt::format("host, because {}", probe.reason())));

  // A training run refuses a program whose description differs from the expected one; here it runs anyway.
  std::vector<std::string> warnings;
  device::apple::AneOptions ane = ane_options(settings);
  ane.on_difference = [&](const std::string& difference) { warnings.push_back(difference); };
  const PickedDevice picked = pick_device(settings.device, ane, threads);
  if (!picked.note.empty()) terminal.print(fmt::format("Note: {}", picked.note));
  device::host::HostDevice host(threads);
  terminal.print(fmt::format("Probe kernels on {}:", picked.device->name()));
  const Verdict verdict = run_probes(*picked.device, host, warnings, terminal);
  if (const std::string warning = picked.device->warning(); !warning.empty())
    terminal.print(fmt::format("Warning: {}", warning));
  terminal.print(verdict.text());
  return verdict.can_train() ? 0 : kDeviceExit;
}

}  // namespace ane::app
