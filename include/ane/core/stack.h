#pragma once

#include <functional>

namespace ane {

/// Calls `work` with a stack of at least the systems' default size and returns its result. If a limit (ulimit -s) gives
/// the calling thread less, `work` runs on a new thread, which handles signals in place of the calling one; threads
/// started later get the same stack size. `work` must not throw. Throws DeviceError if the thread cannot be started.
int with_enough_stack(const std::function<int()>& work);

}  // namespace ane
