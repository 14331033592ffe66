#pragma once

namespace ane {

/// Reserves address space, unless it is still reserved, that is released when an allocation finds no other memory, so
/// that small allocations after that succeed. For code that cannot fail half-way without terminating the process:
/// nlohmann::json allocates in its destructor. Throws std::bad_alloc if the reserve cannot be allocated.
void ensure_memory_reserve();

}  // namespace ane
