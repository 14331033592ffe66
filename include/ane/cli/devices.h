#pragma once

#include <memory>
#include <string>

#include "ane/cli/settings.h"
#include "ane/device/apple/ane_device.h"
#include "ane/device/device.h"
#include "ane/math/threads.h"

namespace ane::cli {

struct PickedDevice {
  std::unique_ptr<device::Device> device;
  std::string note;  ///< for the log, if the choice needs a word; may be empty
};

/// Throws UsageError for a name that is not auto, ane or host.
[[nodiscard]] DeviceChoice parse_device_choice(const std::string& name);

/// How the settings want Apple's framework to be called.
[[nodiscard]] device::apple::AneOptions ane_options(const Settings& settings);

/// The device that `choice` means here. `auto` takes the ANE if there is one, else the host, whose runs have
/// one thread each if several sequences are computed side by side. Throws DeviceError if it is not to be had, saying
/// what to do.
[[nodiscard]] PickedDevice pick_device(DeviceChoice choice, const device::apple::AneOptions& ane,
                                       math::ThreadPool& threads, int parallel_sequences = 1);

}  // namespace ane::cli
