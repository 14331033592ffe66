#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "ane/math/threads.h"

namespace ane::bench {

/// How many times as long a product takes while every thread of the pool computes one as it takes at best while only
/// one thread does. About 1 if each thread has a processor core of its own; about 2 if two share a core, as two virtual
/// processors may, or if another program uses a processor. Takes about 0.1 s.
[[nodiscard]] double slowdown_of_all_threads(math::ThreadPool& threads);

/// Whether a slowdown means that threads shared a core, so that times and their bounds are not comparable.
[[nodiscard]] bool shares_core(double slowdown) noexcept;

/// Checks the cores during a measurement: before it, after it, and each second in between.
class CoreChecks {
 public:
  explicit CoreChecks(math::ThreadPool& threads) : threads_(&threads) { check(); }
  void check();
  /// Checks if the last check was more than a second ago.
  void check_each_second();
  /// The result of all checks as a sentence, with a warning if a core was shared.
  [[nodiscard]] std::string summary() const;

 private:
  math::ThreadPool* threads_;
  std::vector<double> slowdowns_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace ane::bench
