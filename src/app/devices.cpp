#include "ane/app/devices.h"

#include <fmt/format.h>

#include "ane/app/plan.h"
#include "ane/core/own_executable.h"
#include "ane/device/apple/probe.h"
#include "ane/device/host/host_device.h"

namespace ane::app {

device::apple::AneOptions ane_options(const cli::Settings& settings) {
  return {.qos = static_cast<unsigned>(settings.ane_qos),
          .load_options = {},
          .purge_cached = settings.ane_purge_cache,
          .compare_attributes = settings.ane_compare_attributes,
          .on_difference = {},
          .load_retries = static_cast<int>(settings.ane_load_retries),
          .cancel_retries = static_cast<int>(settings.ane_cancel_retries)};
}

device::apple::WorkerOptions worker_options(const cli::Settings& settings, const device::DeviceLimits& limits,
                                            const WorkerStart& start) {
  device::apple::WorkerOptions options;
  options.count = static_cast<int>(settings.compile_workers);
  options.compiles = engine_compile_limit(settings, limits);
  options.executable = own_executable();
  options.environment.assign(start.environment.begin(), start.environment.end());
  options.stop = start.stop;
  return options;
}

PickedDevice pick_device(cli::DeviceChoice choice, const device::apple::AneOptions& ane, math::ThreadPool& threads,
                         int parallel_sequences) {
  using device::host::RunThreads;
  const RunThreads run_threads = parallel_sequences > 1 ? RunThreads::one : RunThreads::all;
  if (choice == cli::DeviceChoice::host) return {std::make_unique<device::host::HostDevice>(threads, run_threads), ""};
  const device::apple::Probe probe = device::apple::probe();
  if (probe.usable_unasked()) return {std::make_unique<device::apple::AneDevice>(ane), ""};
  if (choice == cli::DeviceChoice::ane && probe.usable()) {
    return {std::make_unique<device::apple::AneDevice>(ane),
            "this is a virtual machine: its host determines whether kernels run on an ANE, and correctly"};
  }
  if (choice == cli::DeviceChoice::ane) {
    throw DeviceError(
        fmt::format("--device ane: {}; use --device host, which runs the same kernels on the CPU", probe.reason()));
  }
  return {std::make_unique<device::host::HostDevice>(threads, run_threads),
          fmt::format("the host device runs the kernels on the CPU: {}", probe.reason())};
}

}  // namespace ane::app
