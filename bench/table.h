#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench.h"
#include "statistics.h"

namespace ane::bench {

/// Decides when there are enough repetitions: the requested number, or, for 0, until the shortest times are stable.
class Repetitions {
 public:
  explicit Repetitions(std::int64_t asked_for) : asked_for_(asked_for) {}
  [[nodiscard]] bool again();

 private:
  std::int64_t asked_for_;
  std::int64_t done_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Samples of several quantities.
class Samples {
 public:
  void add(const std::string& name, Duration time) { times_[name].push_back(time); }
  /// The shortest time; 0 if there are no samples of that name.
  [[nodiscard]] double milliseconds(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, std::vector<Duration>>& all() const noexcept { return times_; }

 private:
  std::map<std::string, std::vector<Duration>> times_;
};

/// Sums of one repetition, each of which becomes a sample.
class Sums {
 public:
  void add(const std::string& name, Duration time) { sums_[name] += time; }
  void give(Samples& samples) const;

 private:
  std::map<std::string, Duration> sums_;
};

/// Prints config, dimensions and device.
void print_heading(Training& training);

/// A Markdown table of times against their bounds.
void print_head(const std::string& name, const std::string& time, const std::string& bound, const std::string& rate);
void print_row(const std::string& name, double milliseconds, double bound_milliseconds, const std::string& rate = {});

}  // namespace ane::bench
