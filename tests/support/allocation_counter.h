#pragma once

namespace ane::test {

/// How often this program has allocated memory, on any thread. For programs that link test_allocations.
[[nodiscard]] long allocation_count() noexcept;

}  // namespace ane::test
