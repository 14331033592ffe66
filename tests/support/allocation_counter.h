#pragma once

namespace ane::test {

/// Number of allocations of this program, on any thread. For programs that link test_allocations.
[[nodiscard]] long allocation_count() noexcept;

}  // namespace ane::test
