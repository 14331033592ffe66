#include "ane/math/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"

namespace {

using ane::math::Range;
using ane::math::ThreadPool;

using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

Ranges ranges_of(ThreadPool& pool, std::size_t count, std::size_t grain) {
  Ranges found;
  std::mutex mutex;
  pool.parallel_for(count, grain, [&](Range range) {
    const std::lock_guard lock(mutex);
    found.emplace_back(range.begin, range.end);
  });
  std::ranges::sort(found);
  return found;
}

TEST_CASE("a pool of zero or too many threads is refused", "[math][threads]") {
  for (const int threads : {-1, 0, 257, std::numeric_limits<int>::max()}) {
    CAPTURE(threads);
    REQUIRE_THROWS_AS(ThreadPool(threads), ane::UsageError);
    REQUIRE_THROWS_WITH(ThreadPool(threads), ANE_CONTAINS(std::to_string(threads)) && ANE_CONTAINS("1 to 256"));
  }
  CHECK(ThreadPool(1).size() == 1);
  CHECK(ThreadPool(3).size() == 3);
}

TEST_CASE("ranges cover everything once, in multiples of the grain, one per thread", "[math][threads]") {
  const int threads = GENERATE(1, 2, 3, 8);
  const std::size_t grain = GENERATE(1U, 4U, 16U, 1000U);
  ThreadPool pool(threads);
  for (const std::size_t count : {0U, 1U, 2U, 3U, 15U, 16U, 17U, 31U, 64U, 100U, 999U, 1000U, 4097U}) {
    CAPTURE(threads, grain, count);
    const Ranges ranges = ranges_of(pool, count, grain);
    const std::size_t units = (count + grain - 1) / grain;
    REQUIRE(ranges.size() == std::min<std::size_t>(units, static_cast<std::size_t>(threads)));
    std::size_t next = 0;
    std::size_t shortest = units;
    std::size_t longest = 0;
    for (const auto& [begin, end] : ranges) {
      REQUIRE(begin == next);
      REQUIRE(end > begin);
      REQUIRE((end % grain == 0 || end == count));
      const std::size_t length = (end - begin + grain - 1) / grain;
      shortest = std::min(shortest, length);
      longest = std::max(longest, length);
      next = end;
    }
    CHECK(next == count);
    CHECK(longest - shortest <= 1);
  }
}

TEST_CASE("the largest count is split without overflow", "[math][threads]") {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  ThreadPool pool(3);
  const Ranges ranges = ranges_of(pool, kMost, 1024);
  REQUIRE(ranges.size() == 3);
  CHECK(ranges.front().first == 0);
  CHECK(ranges[0].second == ranges[1].first);
  CHECK(ranges[1].second == ranges[2].first);
  CHECK(ranges.back().second == kMost);
}

TEST_CASE("the split is the same each time and inside a body", "[math][threads]") {
  ThreadPool pool(4);
  const Ranges expected = ranges_of(pool, 1001, 10);
  for (int i = 0; i < 100; ++i) REQUIRE(ranges_of(pool, 1001, 10) == expected);
  std::vector<Ranges> nested(4);
  pool.parallel_for(4, 1, [&](Range outer) {
    const auto thread = std::this_thread::get_id();
    pool.parallel_for(1001, 10, [&](Range inner) {
      if (std::this_thread::get_id() != thread) throw std::logic_error("a nested loop left its thread");
      nested[outer.begin].emplace_back(inner.begin, inner.end);
    });
  });
  for (const Ranges& ranges : nested) CHECK(ranges == expected);
}

TEST_CASE("many short loops each finish before the next begins", "[math][threads]") {
  ThreadPool pool(GENERATE(2, 4));
  constexpr std::size_t kSize = 64;
  constexpr int kLoops = 20'000;
  std::vector<int> from(kSize);  // not atomic: the next loop must see the writes of the previous one
  std::vector<int> to(kSize);
  for (std::size_t loop = 0; loop < kLoops; ++loop) {
    pool.parallel_for(kSize, 1 + loop % 7, [&](Range range) {
      for (std::size_t i = range.begin; i < range.end; ++i) to[i] = from[kSize - 1 - i] + 1;
    });
    std::swap(from, to);
  }
  CHECK(std::ranges::all_of(from, [](int value) { return value == kLoops; }));
}

TEST_CASE("sleeping threads wake up again", "[math][threads]") {
  ThreadPool pool(3);
  std::atomic<int> ran{0};
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // All three must be awake at once for the loop to end.
    std::atomic<int> arrived{0};
    pool.parallel_for(3, 1, [&](Range) {
      ++arrived;
      while (arrived.load() < 3) std::this_thread::yield();
      ++ran;
    });
  }
  CHECK(ran == 60);
}

TEST_CASE("the exception of the first range that threw is rethrown, and the pool stays usable", "[math][threads]") {
  ThreadPool pool(GENERATE(1, 4));
  const auto fail_from = [&](std::size_t first) {
    pool.parallel_for(4, 1, [&](Range range) {
      for (std::size_t i = range.begin; i < range.end; ++i) {
        if (i >= first) throw std::runtime_error("item " + std::to_string(i));
      }
    });
  };
  for (int i = 0; i < 50; ++i) {
    REQUIRE_THROWS_WITH(fail_from(0), "item 0");
    REQUIRE_THROWS_WITH(fail_from(2), "item 2");
    REQUIRE_NOTHROW(fail_from(4));
  }
  std::atomic<std::size_t> done{0};
  pool.parallel_for(100, 1, [&](Range range) { done += range.size(); });
  CHECK(done == 100);
}

TEST_CASE("after an exception in a nested loop, the thread is not marked as inside a body", "[math][threads]") {
  ThreadPool pool(2);
  CHECK_THROWS_AS(pool.parallel_for(2, 1, [](Range) { throw std::runtime_error("x"); }), std::runtime_error);
  std::atomic<int> arrived{0};  // ends only if two threads take part
  pool.parallel_for(2, 1, [&](Range) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
  });
  CHECK(arrived == 2);
}

TEST_CASE("callers on several threads take turns", "[math][threads]") {
  ThreadPool pool(2);
  std::vector<std::size_t> sums(3);
  std::vector<std::thread> callers;
  for (std::size_t& own : sums) {
    callers.emplace_back([&pool, &own] {
      for (int i = 0; i < 500; ++i) {
        std::atomic<std::size_t> sum{0};
        pool.parallel_for(100, 1, [&](Range range) { sum += range.size(); });
        own += sum;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(sums == std::vector<std::size_t>(3, 50'000));
}

TEST_CASE("pools can be created and destroyed repeatedly", "[math][threads]") {
  std::size_t total = 0;
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(1 + i % 4);
    if (i % 3 == 0) continue;  // never used
    std::atomic<std::size_t> sum{0};
    pool.parallel_for(10, 1, [&](Range range) { sum += range.size(); });
    total += sum;
  }
  CHECK(total == 1330);
}

}  // namespace
