#pragma once

#include <cstddef>
#include <string_view>

namespace ane::device::host {

/// Memory of a kernel of this text besides its surfaces, for one thread.
[[nodiscard]] std::size_t plan_bytes(std::string_view mil_text);

}  // namespace ane::device::host
