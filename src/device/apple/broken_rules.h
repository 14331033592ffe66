#pragma once

#include <string_view>
#include <vector>

#include "ane/mil/ane_rules.h"

namespace ane::device::apple {

/// The rules that `program` breaks on this chip when it is called through the bridge: check_for_ane without the rules
/// that hold for other chips alone, and without those about the order of binding, since the bridge binds by name. An
/// unknown chip (empty) has every limit.
[[nodiscard]] std::vector<mil::Diagnostic> broken_rules(const mil::Program& program, const mil::Blobs* weights,
                                                        std::string_view chip);

}  // namespace ane::device::apple
