#include <atomic>
#include <cstddef>

#include "support/allocation_counter.h"

namespace {

std::atomic<long> allocations{0};

}  // namespace

// The sanitizers' runtime calls this after each allocation if a program defines it (sanitizer/allocator_interface.h).
extern "C" void __sanitizer_malloc_hook(const volatile void* /*memory*/, std::size_t /*size*/) {
  ++allocations;
}  // NOLINT

namespace ane::test {

long allocation_count() noexcept { return allocations; }

}  // namespace ane::test
