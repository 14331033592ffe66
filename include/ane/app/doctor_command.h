#pragma once

#include <span>
#include <string>

namespace ane::app {

/// `ane-train doctor [--device NAME] [--ane-...]`: reports what this machine offers, which device is selected and why,
/// and whether it computes correctly. `arguments` are those after `doctor`. Returns 0 only if every probe kernel that a
/// run needs compiled, ran and gave the correct result on the selected device, else 4. One of the two forms of RoPE is
/// enough; the verdict names the setting if it is not the default. Throws UsageError, and DeviceError if the named
/// device is not available.
[[nodiscard]] int doctor_command(std::span<const std::string> arguments);

}  // namespace ane::app
