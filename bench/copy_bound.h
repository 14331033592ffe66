#pragma once

#include <cstddef>

#include "ane/math/threads.h"

#include "memory.h"

namespace ane::bench {

/// What it costs to move memory and do nothing else: as many bytes as an operation reads and writes, copied by all
/// threads, so half of them are read and half written. What fits a cache is there after the first run, as it is for an
/// operation that runs again and again.
class CopyBound {
 public:
  /// `bytes`: read and written, together.
  CopyBound(double bytes, math::ThreadPool& threads);
  void run();

 private:
  Floats from_, to_;
  math::ThreadPool* threads_;
};

}  // namespace ane::bench
