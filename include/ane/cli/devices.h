#pragma once

#include <memory>
#include <string>

#include "ane/cli/settings.h"
#include "ane/device/device.h"
#include "ane/math/threads.h"

namespace ane::cli {

struct PickedDevice {
  std::unique_ptr<device::Device> device;
  std::string note;  ///< for the log, if the choice needs a word; may be empty
};

/// Throws UsageError for a name that is not auto, ane or host.
[[nodiscard]] DeviceChoice parse_device_choice(const std::string& name);

/// The device that `choice` means here. `auto` takes the ANE if there is one, else the host. Throws DeviceError if it
/// is not to be had, saying what to do.
[[nodiscard]] PickedDevice pick_device(DeviceChoice choice, math::ThreadPool& threads);

}  // namespace ane::cli
