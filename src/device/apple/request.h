#pragma once

#include <span>

#include "frameworks.h"
#include "objc.h"

namespace ane::device::apple {

/// An _ANERequest for surfaces in binding order; it keeps them alive. Throws DeviceError. Needs an autorelease pool
/// around it.
[[nodiscard]] objc::Owned make_request(const Frameworks& frameworks, std::span<const IoSurfaceRef> inputs,
                                       std::span<const IoSurfaceRef> outputs);

}  // namespace ane::device::apple
