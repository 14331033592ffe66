#pragma once

#include <string_view>
#include <vector>

#include "ane/device/apple/ane_device.h"
#include "ane/mil/ane_rules.h"

namespace ane::device::apple {

/// The rules that `program` breaks on this chip when it is called through the bridge: check_for_ane without the rules
/// that apply only to other chips, and without those about binding order, since the bridge binds by name. All rules
/// apply to an unknown chip (empty). `overrides` replace what is known about the chip.
[[nodiscard]] std::vector<mil::Diagnostic> broken_rules(const mil::Program& program, const mil::Blobs* weights,
                                                        std::string_view chip, const RuleOverrides& overrides = {});

}  // namespace ane::device::apple
