#pragma once

#include <cstddef>
#include <string_view>

namespace ane::device::host {

/// What a kernel of this text takes beside its surfaces, for one thread.
[[nodiscard]] std::size_t plan_bytes(std::string_view mil_text);

}  // namespace ane::device::host
