#pragma once

#include <cstddef>

#include "ane/math/threads.h"

#include "memory.h"

namespace ane::bench {

/// The time of moving as many bytes as an operation reads and writes: a copy by all threads, half of the bytes read and
/// half written. Data that fit in a cache stay there after the first run, as for a repeated operation.
class CopyBound {
 public:
  /// `bytes`: total of reads and writes.
  CopyBound(double bytes, math::ThreadPool& threads);
  void run();

 private:
  Floats from_, to_;
  math::ThreadPool* threads_;
};

}  // namespace ane::bench
