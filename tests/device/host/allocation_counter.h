#pragma once

namespace ane::device::host {

/// How often this program has allocated memory, on any thread.
[[nodiscard]] long allocation_count() noexcept;

}  // namespace ane::device::host
