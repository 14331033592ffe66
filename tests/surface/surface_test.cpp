#include "ane/surface/surface.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "ane/core/error.h"
#include "ane/surface/pool.h"

#include "support/catch.h"

namespace {

using ane::surface::HeapAllocator;
using ane::surface::Mapping;
using ane::surface::Memory;
using ane::surface::Surface;
using ane::surface::SurfacePool;

constexpr std::uintptr_t kSmallestPage = 4096;

TEST_CASE("heap memory has the requested size, is zero-filled and page-aligned", "[surface]") {
  const std::size_t size_bytes = GENERATE(1U, 2U, 63U, 4096U, 4097U, 1'000'003U);
  CAPTURE(size_bytes);
  HeapAllocator allocator;
  const std::unique_ptr<Memory> memory = allocator.allocate(size_bytes);
  CHECK(memory->size_bytes() == size_bytes);
  const Mapping<std::byte> mapping(*memory, true);
  REQUIRE(mapping.bytes().size() == size_bytes);
  CHECK(reinterpret_cast<std::uintptr_t>(mapping.bytes().data()) % kSmallestPage == 0);
  CHECK(std::ranges::all_of(mapping.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
  std::ranges::fill(mapping.bytes(), std::byte{1});  // all of it is writable
}

TEST_CASE("a failed allocation is an error that names the size", "[surface]") {
  HeapAllocator allocator;
  constexpr std::size_t kTooMuch = std::numeric_limits<std::size_t>::max() / 4;
  REQUIRE_THROWS_AS(allocator.allocate(kTooMuch), ane::DeviceError);
  REQUIRE_THROWS_WITH(allocator.allocate(kTooMuch),
                      ANE_CONTAINS(std::to_string(kTooMuch) + " bytes") && ANE_CONTAINS("Cannot allocate memory"));
}

// Records each lock and unlock.
class ObservedMemory final : public Memory {
 public:
  explicit ObservedMemory(std::vector<std::string>& events) : events_(&events) {}
  [[nodiscard]] std::size_t size_bytes() const noexcept override { return bytes_.size(); }
  std::span<std::byte> lock(bool for_write) override {
    events_->push_back(for_write ? "lock for write" : "lock for read");
    return bytes_;
  }
  void unlock(bool for_write) noexcept override {
    events_->push_back(for_write ? "unlock after write" : "unlock after read");
  }

 private:
  std::vector<std::string>* events_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(10);
};

TEST_CASE("a mapping holds its lock until its last owner is destroyed", "[surface]") {
  std::vector<std::string> events;
  ObservedMemory memory(events);
  {
    Mapping<std::byte> first(memory, true);
    const Mapping<std::byte> second(std::move(first));
    CHECK(events == std::vector<std::string>{"lock for write"});
    CHECK(second.bytes().size() == 10);
  }
  CHECK(events == std::vector<std::string>{"lock for write", "unlock after write"});
  events.clear();
  { const Mapping<const std::byte> mapping(memory, false); }
  CHECK(events == std::vector<std::string>{"lock for read", "unlock after read"});
}

TEST_CASE("a mapping is viewed as elements, rounded down", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  Surface surface = pool.acquire(11);
  {
    const auto mapping = surface.map_for_write();
    const std::span<float> floats = mapping.as<float>();
    REQUIRE(floats.size() == 2);
    floats[1] = 1.5F;
  }
  const auto mapping = surface.map_for_read();
  const std::span<const float> floats = mapping.as<float>();
  CHECK(floats[0] == 0.0F);
  CHECK(floats[1] == 1.5F);
  CHECK(mapping.as<std::uint16_t>().size() == 5);
}

TEST_CASE("an empty surface has no memory and moves take it along", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  Surface empty;
  CHECK_FALSE(empty);
  CHECK(empty.size_bytes() == 0);

  Surface full = pool.acquire(8);
  CHECK(full);
  CHECK(full.size_bytes() == 8);
  const Memory* memory = &full.memory();
  empty = std::move(full);
  CHECK(&empty.memory() == memory);
  const Surface moved(std::move(empty));
  CHECK(&moved.memory() == memory);
  CHECK(pool.counters().live == 1);
}

}  // namespace
