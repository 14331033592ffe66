#pragma once

#include <future>
#include <system_error>
#include <thread>
#include <utility>

namespace ane {

/// Runs `work` on a thread of its own or, if none can be started, in the first call that waits for the future.
/// std::async with both policies does the same, but that of LLVM's C++ library waits forever if it cannot start a
/// thread. So another thread is started first, whose stack the system then has for this one.
template <class Work>
[[nodiscard]] auto run_in_background(Work&& work) {
  std::launch how = std::launch::async;
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    how = std::launch::deferred;
  }
  return std::async(how, std::forward<Work>(work));
}

}  // namespace ane
