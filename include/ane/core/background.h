#pragma once

#include <future>
#include <system_error>
#include <thread>

namespace ane {

/// Runs `work` on a new thread. If no thread can be started, the first call that waits for the future runs it.
/// std::async with both policies promises the same, but LLVM's C++ library never returns from it if the thread cannot
/// be started. So a thread that does nothing is started first, and std::async is only called if that succeeds.
template <class Work>
[[nodiscard]] auto run_in_background(const Work& work) {
  try {
    std::thread([] {}).join();
    return std::async(std::launch::async, work);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, work);
  }
}

}  // namespace ane
