#pragma once

namespace ane {

/// Sets addresses aside, unless they are still there, that are let go when there is no other memory for an allocation.
/// So what needs little of it from now on gets it. For code that could not fail half-way without ending the process:
/// nlohmann::json allocates in its destructor. Throws std::bad_alloc if there is no room.
void ensure_memory_reserve();

}  // namespace ane
