#include "ane/core/mapped_memory.h"

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include "ane/core/checked.h"

namespace ane {

namespace {

std::byte* map(void* place, std::size_t size_bytes, int protection, int flags, int descriptor) {
  void* const address = ::mmap(place, size_bytes, protection, flags, descriptor, 0);
  if (address == MAP_FAILED) throw std::system_error(errno, std::generic_category());
  return static_cast<std::byte*>(address);
}

/// Reserved addresses from which an aligned part is taken.
class Reservation {
 public:
  explicit Reservation(std::size_t size_bytes)
      : begin_(map(nullptr, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1)), end_(begin_ + size_bytes) {}
  ~Reservation() { give_back(begin_, end_); }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  [[nodiscard]] std::byte* aligned(std::size_t alignment) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(begin_);
    return begin_ + (round_up<std::uintptr_t>(address, alignment) - address);
  }
  /// Releases everything except this part.
  void keep(std::byte* begin, std::byte* end) noexcept { give_back(std::exchange(begin_, end), begin); }

 private:
  static void give_back(std::byte* begin, std::byte* end) noexcept {
    if (begin != end) ::munmap(begin, static_cast<std::size_t>(end - begin));
  }

  std::byte* begin_;
  std::byte* end_;
};

std::span<std::byte> map_aligned(std::size_t size_bytes, int flags, int descriptor) {
  constexpr int kReadWrite = PROT_READ | PROT_WRITE;
  if (size_bytes < kHugePageBytes) return {map(nullptr, size_bytes, kReadWrite, flags, descriptor), size_bytes};

  const auto reserved_bytes = checked_add(size_bytes, 2 * kHugePageBytes);
  if (!reserved_bytes) throw std::system_error(ENOMEM, std::generic_category());
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  Reservation reservation(round_up(*reserved_bytes, page_bytes));
  std::byte* const begin = reservation.aligned(kHugePageBytes);
  map(begin, size_bytes, kReadWrite, flags | MAP_FIXED, descriptor);
  reservation.keep(begin, begin + round_up(size_bytes, page_bytes));
  return {begin, size_bytes};
}

}  // namespace

MappedMemory MappedMemory::anonymous(std::size_t size_bytes) {
  // Linux would refuse a mapping larger than memory and swap before a run has compared its needs with the available
  // memory.
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  MappedMemory memory(map_aligned(size_bytes, kFlags, -1));
#ifdef MADV_HUGEPAGE
  // A hint: some systems use huge pages only if programs request them.
  if (size_bytes >= kHugePageBytes) ::madvise(memory.data(), size_bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

MappedMemory MappedMemory::sparse(std::size_t size_bytes) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  MappedMemory memory({map(nullptr, size_bytes, PROT_READ | PROT_WRITE, kFlags, -1), size_bytes});
#ifdef MADV_NOHUGEPAGE
  ::madvise(memory.data(), size_bytes, MADV_NOHUGEPAGE);
#endif
  return memory;
}

MappedMemory MappedMemory::shared(int descriptor, std::size_t size_bytes) {
  return MappedMemory(map_aligned(size_bytes, MAP_SHARED, descriptor));
}

MappedMemory::~MappedMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

MappedMemory::MappedMemory(MappedMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

void gather_in_huge_pages([[maybe_unused]] std::span<std::byte> bytes) noexcept {
#ifdef __linux__
  // Values from <linux/mman.h>; the C library's header may be older than the system.
  constexpr int kPopulateWrite = 23;
  constexpr int kCollapse = 25;
  const std::size_t whole_bytes = bytes.size() / kHugePageBytes * kHugePageBytes;
  if (whole_bytes == 0) return;
  assert(reinterpret_cast<std::uintptr_t>(bytes.data()) % kHugePageBytes == 0);
  // Only a populated range can be collapsed into huge pages.
  for (std::size_t begin = 0; begin < whole_bytes; begin += kHugePageBytes) {
    if (::madvise(&bytes[begin], 1, kPopulateWrite) != 0) return;
  }
  ::madvise(bytes.data(), whole_bytes, kCollapse);
#endif
}

}  // namespace ane
