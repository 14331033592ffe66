#include "ane/core/memory_reserve.h"

#include <atomic>
#include <cstddef>
#include <new>

#include <sys/mman.h>

namespace ane {

namespace {

// Address space only. If a thread cannot have an arena, glibc takes a page for every small allocation.
constexpr std::size_t kReserveBytes = std::size_t{16} << 20U;

/// One per process, like the handler that releases it.
std::atomic<void*>& reserve() noexcept {
  static std::atomic<void*> addresses{nullptr};
  return addresses;
}

/// Releases the reserve; false if there was none.
bool let_go() noexcept {
  void* const addresses = reserve().exchange(nullptr);
  return addresses != nullptr && ::munmap(addresses, kReserveBytes) == 0;
}

/// Returns if the allocation should be retried.
void on_failed_allocation() {
  if (!let_go()) throw std::bad_alloc();
}

}  // namespace

void ensure_memory_reserve() {
  std::set_new_handler(on_failed_allocation);
  if (reserve() != nullptr) return;
  void* const addresses = ::mmap(nullptr, kReserveBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (addresses == MAP_FAILED) throw std::bad_alloc();
  void* const another = reserve().exchange(addresses);  // set concurrently by another thread
  if (another != nullptr) ::munmap(another, kReserveBytes);
}

}  // namespace ane
