#include "ane/cli/devices.h"

#include "ane/device/host/host_device.h"

namespace ane::cli {

PickedDevice pick_device(DeviceChoice choice, std::int64_t /*max_compiles*/, math::ThreadPool& threads) {
  if (choice == DeviceChoice::ane) {
    throw DeviceError(
        "--device ane: this build has no bridge to the Apple Neural Engine; use --device host, which runs the same "
        "kernels on the CPU");
  }
  PickedDevice picked{std::make_unique<device::host::HostDevice>(threads), ""};
  if (choice == DeviceChoice::automatic)
    picked.note = "no Neural Engine here: the host device runs the kernels on the CPU";
  return picked;
}

}  // namespace ane::cli
