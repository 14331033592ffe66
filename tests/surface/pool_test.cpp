#include "ane/surface/pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <stdexcept>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"
#include "support/together.h"

namespace {

using ane::surface::Allocator;
using ane::surface::HeapAllocator;
using ane::surface::Memory;
using ane::surface::PoolCounters;
using ane::surface::Surface;
using ane::surface::SurfacePool;

class RefusingAllocator final : public Allocator {
 public:
  [[nodiscard]] std::unique_ptr<Memory> allocate(std::size_t) override { throw ane::DeviceError("no more surfaces"); }
};

void fill(Surface& surface, std::byte value) { std::ranges::fill(surface.map_for_write().bytes(), value); }

TEST_CASE("a released surface is reused only for its exact size", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  const Memory* first = nullptr;
  {
    const Surface surface = pool.acquire(100);
    first = &surface.memory();
    CHECK(pool.counters().live == 1);
    CHECK(pool.counters().live_bytes == 100);
  }
  CHECK(pool.counters().pooled == 1);
  CHECK(pool.counters().pooled_bytes == 100);

  const Surface other = pool.acquire(101);
  CHECK(&other.memory() != first);
  CHECK(pool.counters().created == 2);
  CHECK(pool.counters().reused == 0);

  const Surface again = pool.acquire(100);
  CHECK(&again.memory() == first);
  CHECK(pool.counters().created == 2);
  CHECK(pool.counters().reused == 1);
  CHECK(pool.counters().live == 2);
  CHECK(pool.counters().live_bytes == 201);
  CHECK(pool.counters().pooled == 0);
  CHECK(pool.counters().pooled_bytes == 0);
}

TEST_CASE("the most recently released surface is reused first", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  Surface a = pool.acquire(8);
  Surface b = pool.acquire(8);
  const Memory* last = &a.memory();
  b = Surface();
  a = Surface();
  CHECK(&pool.acquire(8).memory() == last);
}

TEST_CASE("a reused surface is poisoned in builds with ANE_POISON, and otherwise keeps its bytes", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  {
    Surface surface = pool.acquire(64);
    fill(surface, std::byte{7});
  }
  const Surface surface = pool.acquire(64);
#ifdef ANE_POISON
  constexpr std::byte kExpected{0xFF};
#else
  constexpr std::byte kExpected{7};
#endif
  CHECK(std::ranges::all_of(surface.map_for_read().bytes(), [](std::byte byte) { return byte == kExpected; }));
}

TEST_CASE("no more surfaces are kept than the capacity, over all sizes", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  CHECK(pool.capacity() == 128);
  {
    std::vector<Surface> surfaces;
    for (std::size_t i = 0; i < 200; ++i) surfaces.push_back(pool.acquire(1 + i % 10));
    CHECK(pool.counters().live == 200);
  }
  CHECK(pool.counters().live == 0);
  CHECK(pool.counters().live_bytes == 0);
  CHECK(pool.counters().pooled == 128);
  CHECK(pool.counters().released == 72);
  CHECK(pool.counters().created == 200);
}

TEST_CASE("a pool of capacity 0 keeps nothing", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator, 0);
  for (int i = 0; i < 3; ++i) CHECK(pool.acquire(16).size_bytes() == 16);
  CHECK(pool.counters().created == 3);
  CHECK(pool.counters().reused == 0);
  CHECK(pool.counters().released == 3);
  CHECK(pool.counters().pooled == 0);
}

TEST_CASE("a full pool frees the surface that has been free for longest", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator, 2);
  for (const std::size_t size_bytes : {10U, 20U, 30U}) CHECK(pool.acquire(size_bytes));
  CHECK(pool.counters().pooled_bytes == 50);  // 10 was freed
  CHECK(pool.acquire(20));                    // 20 is now the newest
  CHECK(pool.acquire(40));                    // 30 was freed
  CHECK(pool.counters().pooled_bytes == 60);
  CHECK(pool.counters().released == 2);
  CHECK(pool.acquire(30));
  CHECK(pool.counters().created == 5);
}

TEST_CASE("an exception releases surfaces", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  const auto step = [&] {
    const Surface input = pool.acquire(10);
    const Surface output = pool.acquire(20);
    throw std::runtime_error("kernel failed");
  };
  CHECK_THROWS_WITH(step(), "kernel failed");
  CHECK(pool.counters().live == 0);
  CHECK(pool.counters().pooled == 2);
  CHECK_THROWS_WITH(step(), "kernel failed");
  CHECK(pool.counters().created == 2);
}

TEST_CASE("a failed allocation changes no counter", "[surface]") {
  RefusingAllocator allocator;
  SurfacePool pool(allocator);
  CHECK_THROWS_AS(static_cast<void>(pool.acquire(10)), ane::DeviceError);
  CHECK(pool.counters().created == 0);
  CHECK(pool.counters().live == 0);
}

TEST_CASE("assigning to a surface releases the old one", "[surface]") {
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  Surface surface = pool.acquire(10);
  surface = pool.acquire(20);
  CHECK(pool.counters().live == 1);
  CHECK(pool.counters().live_bytes == 20);
  CHECK(pool.counters().pooled_bytes == 10);
}

// The simplest implementation of the documented behavior.
struct ModelPool {
  std::size_t capacity;
  std::deque<std::size_t> free;
  PoolCounters counters{};

  void acquire(std::size_t size) {
    const auto newest = std::find(free.rbegin(), free.rend(), size);
    if (newest != free.rend()) {
      free.erase(std::next(newest).base());
      ++counters.reused;
    } else {
      ++counters.created;
    }
    ++counters.live;
    counters.live_bytes += size;
    count_free();
  }
  void give_back(std::size_t size) {
    --counters.live;
    counters.live_bytes -= size;
    free.push_back(size);
    if (free.size() > capacity) {
      free.pop_front();
      ++counters.released;
    }
    count_free();
  }
  void count_free() {
    counters.pooled = free.size();
    counters.pooled_bytes = 0;
    for (const std::size_t size : free) counters.pooled_bytes += size;
  }
};

TEST_CASE("long random use agrees with a simple model of the pool", "[surface]") {
  const std::size_t capacity = GENERATE(0U, 1U, 5U, 128U);
  CAPTURE(capacity);
  HeapAllocator allocator;
  SurfacePool pool(allocator, capacity);
  ModelPool model{capacity, {}};
  std::vector<Surface> live;
  std::uint32_t state = 1;  // a linear congruential generator
  const auto draw = [&](std::uint32_t bound) { return (state = state * 1664525U + 1013904223U) / 65536U % bound; };
  for (int step = 0; step < 3000; ++step) {
    if (live.empty() || draw(2) == 0) {
      const std::size_t size = 1 + draw(12);
      live.push_back(pool.acquire(size));
      model.acquire(size);
    } else {
      const std::size_t chosen = draw(static_cast<std::uint32_t>(live.size()));
      model.give_back(live[chosen].size_bytes());
      std::swap(live[chosen], live.back());
      live.pop_back();
    }
    const PoolCounters& found = pool.counters();
    const bool same = found.created == model.counters.created && found.reused == model.counters.reused &&
                      found.released == model.counters.released && found.live == model.counters.live &&
                      found.live_bytes == model.counters.live_bytes && found.pooled == model.counters.pooled &&
                      found.pooled_bytes == model.counters.pooled_bytes;
    if (!same) FAIL("the counters differ after step " << step);
  }
  CHECK(pool.counters().created + pool.counters().reused > 1000);
}

TEST_CASE("threads that share a pool never share a surface", "[surface]") {
  constexpr std::size_t kThreads = 4;
  constexpr int kRounds = 100000;
  HeapAllocator allocator;
  SurfacePool pool(allocator);
  std::atomic<int> mixed = 0;
  ane::test::run_together(kThreads, [&](std::size_t thread) {
    const auto mark = static_cast<std::byte>(thread + 1);
    for (int round = 0; round < kRounds; ++round) {
      Surface surface = pool.acquire(64 + static_cast<std::size_t>(round % 3));
      fill(surface, mark);
      const auto mapping = surface.map_for_read();
      if (std::ranges::count(mapping.bytes(), mark) != std::ssize(mapping.bytes())) ++mixed;
    }
  });
  CHECK(mixed == 0);
  const PoolCounters counters = pool.counters();
  CHECK(counters.live == 0);
  CHECK(counters.created + counters.reused == kThreads * kRounds);
  CHECK(counters.created <= kThreads * 3);  // at most one per thread of each size
  CHECK(counters.pooled == counters.created);
}

}  // namespace
