#include "ane/core/memory_reserve.h"

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include <sys/mman.h>

#include "support/catch.h"
#include "support/limited_process.h"
#include "support/sanitized.h"

namespace {

/// Takes all but less than a megabyte of a limited address space.
class Greed {
 public:
  Greed() {
    for (;;) {
      void* const piece = ::mmap(nullptr, kPiece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (piece == MAP_FAILED) return;
      pieces_.at(count_++) = piece;
    }
  }
  ~Greed() {
    while (count_ > 0) ::munmap(pieces_.at(--count_), kPiece);
  }
  Greed(const Greed&) = delete;
  Greed& operator=(const Greed&) = delete;

 private:
  static constexpr std::size_t kPiece = std::size_t{1} << 20U;
  std::array<void*, 1000> pieces_{};
  std::size_t count_ = 0;
};

/// Whether 8 MB can be allocated in small pieces.
bool can_allocate() {
  constexpr std::size_t kPieces = 2000;
  constexpr std::size_t kPiece = 4096;
  try {
    std::vector<std::unique_ptr<std::array<char, kPiece>>> pieces(kPieces);
    for (auto& piece : pieces) piece = std::make_unique<std::array<char, kPiece>>();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool can_reserve() {
  try {
    ane::ensure_memory_reserve();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

constexpr std::size_t kRoom = std::size_t{800} << 20U;

}  // namespace

TEST_CASE("small allocations succeed once from the reserve when other memory is exhausted", "[core][memory]") {
  const auto without = [] {
    const Greed greed;
    return !can_allocate();
  };
  if (kSanitized || !in_limited_process(kRoom, without)) {
    WARN("skipped: addresses cannot be limited here");
    return;
  }
  CHECK(in_limited_process(kRoom, [] {
    ane::ensure_memory_reserve();
    ane::ensure_memory_reserve();
    const Greed greed;
    return can_allocate();
  }));
  CHECK(in_limited_process(kRoom, [] {
    ane::ensure_memory_reserve();
    {
      const Greed greed;
      std::vector<std::unique_ptr<std::array<char, 4096>>> all(5000);
      bool refused = false;
      try {
        for (auto& piece : all) piece = std::make_unique<std::array<char, 4096>>();
      } catch (const std::bad_alloc&) {
        refused = true;
      }
      if (!refused || can_reserve()) return false;
    }
    return can_reserve();
  }));
}
