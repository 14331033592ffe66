#pragma once

#include <functional>
#include <memory>
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

/// Creates the device for `choice`. `auto` selects the ANE if there is one, else the host, whose kernels run on one
/// thread each if there are several batch slots. Throws DeviceError with advice if the device is not available.
[[nodiscard]] PickedDevice pick_device(cli::DeviceChoice choice, const device::apple::AneOptions& ane,
                                       math::ThreadPool& threads, int parallel_sequences = 1);

}  // namespace ane::app
