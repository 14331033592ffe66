#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace ane::test {

/// Calls body(i) for i below `count`, each on its own thread, all starting at the same time.
template <class Body>
void run_together(std::size_t count, const Body& body) {
  std::atomic<std::size_t> ready = 0;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ++ready;
      while (ready < count) std::this_thread::yield();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace ane::test
