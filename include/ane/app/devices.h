#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "ane/cli/settings.h"
#include "ane/device/apple/ane_device.h"
#include "ane/device/device.h"
#include "ane/math/threads.h"

namespace ane::app {

/// Wraps or replaces the selected device.
using DeviceWrapper = std::function<std::unique_ptr<device::Device>(std::unique_ptr<device::Device>)>;

struct PickedDevice {
  std::unique_ptr<device::Device> device;
  std::string note;  ///< explanation of the choice for the log; may be empty
};

/// Options for calling Apple's framework, from the settings.
[[nodiscard]] device::apple::AneOptions ane_options(const cli::Settings& settings);

/// What workers of this run start with.
struct WorkerStart {
  std::span<const std::string> environment;
  const std::atomic<bool>* stop = nullptr;  ///< ends compiles once it is true; may be null
};

/// The workers of a run that does not compile in its own process (--compile-in), on an engine with these limits.
[[nodiscard]] device::apple::WorkerOptions worker_options(const cli::Settings& settings,
                                                          const device::DeviceLimits& limits, const WorkerStart& start);

/// Creates the device for `choice`. `auto` selects the ANE if there is one, else the host, whose kernels run on one
/// thread each if there are several batch slots. Throws DeviceError with advice if the device is not available.
[[nodiscard]] PickedDevice pick_device(cli::DeviceChoice choice, const device::apple::AneOptions& ane,
                                       math::ThreadPool& threads, int parallel_sequences = 1);

}  // namespace ane::app
