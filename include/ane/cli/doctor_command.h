#pragma once

#include <span>
#include <string>

namespace ane::cli {

/// `ane-train doctor [--device NAME] [--ane-...]`: what this machine offers, which device is picked and why, and
/// whether it computes what training needs. `arguments` come after `doctor`. Returns 0 only if every probe kernel that
/// a run needs compiled, ran and gave the right result on the picked device, else 4; of the two forms of RoPE one is
/// enough, and the verdict names the setting if it is not the default. Throws UsageError, and DeviceError if the
/// named device is not there.
[[nodiscard]] int doctor_command(std::span<const std::string> arguments);

}  // namespace ane::cli
