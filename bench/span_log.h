#pragma once

#include <map>
#include <mutex>
#include <string>

#include "ane/model/model.h"

#include "statistics.h"

namespace ane::bench {

/// Sums a model's spans by name.
class SpanLog final : public model::SpanListener {
 public:
  struct Sum {
    Duration time{};
    int count = 0;
  };
  using Sums = std::map<std::string, Sum, std::less<>>;

  void on_span(std::string_view name, Clock::time_point begin, Clock::time_point end) noexcept override {
    const std::lock_guard lock(mutex_);
    Sum& sum = sums_.try_emplace(std::string(name)).first->second;
    sum.time += end - begin;
    ++sum.count;
  }
  /// Returns the sums since the last call.
  [[nodiscard]] Sums take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(sums_, {});
  }

 private:
  std::mutex mutex_;
  Sums sums_;
};

}  // namespace ane::bench
