#pragma once

#include <string_view>

#include "ane/model/model.h"

namespace ane::model {

/// Adds its lifetime to one part of a step, if given, and notifies `spans`, if not null. Phases of one thread do not
/// nest.
class PhaseTimer {
 public:
  /// `name` must outlive the timer.
  PhaseTimer(Duration& total, SpanListener* spans, std::string_view name)
      : total_(&total), spans_(spans), name_(name) {}
  PhaseTimer(SpanListener* spans, std::string_view name) : spans_(spans), name_(name) {}
  ~PhaseTimer() {
    const auto end = SpanListener::Clock::now();
    if (total_ != nullptr) *total_ += end - start_;
    if (spans_ != nullptr) spans_->on_span(name_, start_, end);
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  Duration* total_ = nullptr;
  SpanListener* spans_;
  std::string_view name_;
  SpanListener::Clock::time_point start_ = SpanListener::Clock::now();
};

}  // namespace ane::model
