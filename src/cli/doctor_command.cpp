#include "ane/cli/doctor_command.h"

#include <optional>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/cli/command_options.h"
#include "ane/cli/device_probes.h"
#include "ane/cli/devices.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"
#include "ane/device/apple/probe.h"
#include "ane/device/host/host_device.h"

namespace ane::cli {
namespace {

constexpr int kDeviceExit = 4;

/// The wanted device's name; nothing if --help was all that was asked for, and printed.
std::optional<std::string> parse_device(std::span<const std::string> arguments, Terminal& terminal) {
  std::string device = "auto";
  const std::string help = parse_command_options(
      {"doctor", "Checks what this machine offers and whether the picked device computes what training needs."},
      std::vector<CommandOption>{{"--device", "NAME", "auto, ane or host [auto]", &device}}, arguments);
  if (!help.empty()) {
    terminal.print(help);
    return std::nullopt;
  }
  return device;
}

double memory_bytes() {
  return static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

std::string or_unknown(const std::string& text) { return text.empty() ? "unknown" : text; }

/// Libraries are always listed; of classes, methods and functions those that are missing or differ, and a count.
void print_findings(const device::apple::Probe& probe, Terminal& terminal) {
  using Kind = device::apple::Finding::Kind;
  std::size_t found = 0;
  for (const device::apple::Finding& finding : probe.findings) {
    if (finding.found) ++found;
    const bool notable = finding.kind == Kind::library || !finding.found || !finding.note.empty();
    if (notable)
      terminal.print(fmt::format("  {}{}", device::apple::to_string(finding), finding.required ? "" : " (optional)"));
  }
  terminal.print(
      fmt::format("  {} of {} libraries, functions, classes and methods found", found, probe.findings.size()));
}

void print_machine(const device::apple::Probe& probe, math::ThreadPool& threads, Terminal& terminal) {
  terminal.print(version_text());
  terminal.print(fmt::format("System: {}; chip: {}; memory: {}", or_unknown(probe.os), or_unknown(probe.chip),
                             human_bytes(memory_bytes())));
  terminal.print(fmt::format("CPU: {}", device::host::HostDevice(threads).description()));
  terminal.print("Apple Neural Engine:");
  print_findings(probe, terminal);
  if (probe.has_ane) terminal.print(fmt::format("  reported by the framework: {}", *probe.has_ane ? "yes" : "no"));
  if (!probe.architecture.empty()) terminal.print(fmt::format("  architecture: {}", probe.architecture));
  if (probe.cores) terminal.print(fmt::format("  cores: {}", *probe.cores));
}

bool run_probes(device::Device& device, device::Device& host, Terminal& terminal) {
  const bool on_ane = device.name() == "ane";
  bool all_right = true;
  for (const DeviceProbe& probe : device_probes()) {
    const ProbeResult result = run_probe(probe, device, host);
    const bool right = result.right(on_ane);
    all_right = all_right && right;
    const std::string detail = result.failure.empty()
                                   ? fmt::format("differs from plain arithmetic by {:.1e}, from the host by {:.1e}",
                                                 result.from_expected, result.from_host)
                                   : result.failure;
    terminal.print(fmt::format("  {:5} {}: {}", right ? "right" : "WRONG", probe.name, detail));
  }
  return all_right;
}

}  // namespace

int doctor_command(std::span<const std::string> arguments) {
  Terminal terminal;
  const std::optional<std::string> name = parse_device(arguments, terminal);
  if (!name) return 0;
  const DeviceChoice choice = parse_device_choice(*name);
  math::ThreadPool threads(math::processor_count());
  const device::apple::Probe probe = device::apple::probe();
  print_machine(probe, threads, terminal);
  terminal.print(fmt::format("auto picks: {}", probe.usable() ? "ane" : fmt::format("host, as {}", probe.reason())));

  const PickedDevice picked = pick_device(choice, {}, threads);
  device::host::HostDevice host(threads);
  terminal.print(fmt::format("Probe kernels on {}:", picked.device->name()));
  const bool right = run_probes(*picked.device, host, terminal);
  terminal.print(right ? "All right: this device can train."
                       : "Not all right: do not trust a training run on this device. Please send this text with your "
                         "chip and system version to the project.");
  return right ? 0 : kDeviceExit;
}

}  // namespace ane::cli
