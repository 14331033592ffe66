#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "ane/device/device.h"

#include "foundation.h"

namespace ane::device::apple {

/// The port of each symbol index of the compiled program: the ANE binds inputs and outputs in ascending order of their
/// names, whatever order the text has (ane.md A10). `order[i]` is the port of index i.
[[nodiscard]] std::vector<std::size_t> binding_order(std::span<const Port> ports);

/// Where a compiled program's own description (modelAttributes, ane.md 1.5) differs from the ports in binding order:
/// one line each, empty if it agrees. Missing information is not a difference.
[[nodiscard]] std::vector<std::string> differences(const Foundation& foundation, objc::Id attributes,
                                                   std::span<const Port> inputs, std::span<const Port> outputs);

}  // namespace ane::device::apple
