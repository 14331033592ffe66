#pragma once

#include <functional>

namespace ane {

/// Calls `work` and returns what it does, with a stack of the size that systems give by default: on a thread of its own
/// where a limit (ulimit -s) leaves the calling one less, and threads that are started from then on have as much, too.
/// That thread takes the signals in place of the calling one. `work` must not throw. Throws DeviceError if there can be
/// no such thread.
int with_enough_stack(const std::function<int()>& work);

}  // namespace ane
