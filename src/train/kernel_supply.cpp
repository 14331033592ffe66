#include "ane/train/kernel_supply.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/train/restart.h"

namespace ane::train {

using model::KernelSet;

int smallest_budget(const model::Kernels& kernels, Renewal renewal) {
  return kernels.compiles_needed(KernelSet::training) + (renewal == Renewal::pipeline ? kernels.compiles_ahead() : 0);
}

KernelSupply::KernelSupply(const Parts& parts, Renewal renewal) : parts_(parts), renewal_(renewal) {
  assert((parts_.state.delay() == Delay::one_update) == (renewal == Renewal::pipeline));
  if (renewal_ != Renewal::pipeline) return;
  if (parts_.state.progress().update == 0) {
    before_update();
  } else {
    running_ = newest_ - 1;
  }
}

template <class Event>
void KernelSupply::tell(void (Observer::*hook)(const Event&), const Event& event) const {
  for (Observer* observer : parts_.observers) (observer->*hook)(event);
}

bool KernelSupply::provide(KernelSet set) {
  time_ = std::exchange(waited_, {});
  weights_time_ = {};
  const std::int64_t version = set == KernelSet::forward ? newest_ : running_;
  if (holds(set, version)) return true;
  if (ahead_ && ahead_->version == version) return adopt();
  return compile_or_load(set, version);
}

bool KernelSupply::holds(KernelSet set, std::int64_t version) const noexcept {
  return held_ && held_->version == version && (held_->set == KernelSet::training || held_->set == set);
}

std::span<const float> KernelSupply::parameters() const noexcept {
  return held_ && held_->version == running_ ? parts_.state.running_parameters() : parts_.state.parameters();
}

bool KernelSupply::compile_or_load(KernelSet set, std::int64_t version) {
  wait();
  ahead_.reset();
  const int needed = parts_.kernels.compiles_needed(set);
  if (!parts_.budget.try_take(needed)) return false;
  held_.reset();
  parts_.clock.leave_out();
  const std::span<const float> parameters =
      version == running_ ? parts_.state.running_parameters() : parts_.state.parameters();
  if (needed > 0 && !compile(set, needed, parameters)) return false;
  if (parts_.kernels.load_weights(set, parameters)) {
    weights_time_ = parts_.clock.book(&RunTotals::weights_ns);
    tell(&Observer::on_weights, WeightsEvent{weights_time_});
  }
  held_ = {set, version};
  return true;
}

bool KernelSupply::compile(KernelSet set, int kernels, std::span<const float> parameters) {
  try {
    parts_.kernels.compile(set, parameters);
  } catch (const device::CompileError& error) {
    parts_.clock.book(&RunTotals::compile_ns);
    return retry_in_fresh_process(error);
  }
  const Duration time = parts_.clock.book(&RunTotals::compile_ns);
  time_ += time;
  count_round(set, kernels);
  tell(&Observer::on_compile, CompileEvent{.kernels = kernels, .time = time});
  return true;
}

bool KernelSupply::retry_in_fresh_process(const device::CompileError& error) {
  if (++parts_.state.totals().failed_compiles_in_row > 1) throw;
  tell(&Observer::on_warning, fmt::format("a compile failed and is retried in a fresh process: {}", error.what()));
  return false;
}

void KernelSupply::count_round(KernelSet set, int kernels) {
  RunTotals& totals = parts_.state.totals();
  totals.failed_compiles_in_row = 0;
  totals.compiles += kernels;
  ++(set == KernelSet::training ? totals.compile_rounds : totals.forward_compile_rounds);
}

void KernelSupply::begin_next() {
  if (renewal_ != Renewal::pipeline || ahead_ || newest_ == running_) return;
  const int needed = parts_.kernels.compiles_ahead();
  if (!parts_.budget.try_take(needed)) return;
  const auto compile = [&kernels = parts_.kernels, parameters = parts_.state.parameters()]() -> Duration {
    const auto begin = std::chrono::steady_clock::now();
    kernels.compile_ahead(parameters);
    return std::chrono::steady_clock::now() - begin;
  };
  const BlockedSignals blocked;  // the new thread must never receive one
  // If no thread can be started, wait() compiles.
  ahead_ = {newest_, needed, std::async(std::launch::async | std::launch::deferred, compile)};
}

void KernelSupply::wait() {
  if (!ahead_) return;
  parts_.clock.leave_out();
  ahead_->time.wait();
  waited_ += parts_.clock.book(&RunTotals::compile_ns);
}

bool KernelSupply::adopt() {
  wait();
  time_ += std::exchange(waited_, {});
  Ahead ahead = std::move(*std::exchange(ahead_, std::nullopt));
  Duration time{};
  try {
    time = ahead.time.get();
  } catch (const device::CompileError& error) {
    return retry_in_fresh_process(error);
  }
  parts_.kernels.adopt_ahead();
  held_ = {KernelSet::training, ahead.version};
  count_round(KernelSet::training, ahead.kernels);
  parts_.state.totals().hidden_compile_ns += std::max(Duration{}, time - time_).count();
  tell(&Observer::on_compile,
       CompileEvent{.kernels = ahead.kernels, .time = time, .kind = CompileEvent::Kind::ahead, .waited = time_});
  return true;
}

void KernelSupply::before_update() {
  if (renewal_ != Renewal::pipeline) return;
  wait();  // the compile reads the parameters
  constexpr std::size_t kGrain = 1 << 16;
  const std::span<const float> newest = parts_.state.parameters();
  const std::span<float> running = parts_.state.running_parameters();
  parts_.threads.parallel_for(newest.size(), kGrain, [&](math::Range range) {
    std::ranges::copy(newest.subspan(range.begin, range.size()), running.subspan(range.begin).begin());
  });
  running_ = newest_;
}

void KernelSupply::parameters_changed() noexcept {
  ++newest_;
  if (renewal_ != Renewal::pipeline) running_ = newest_;
}

}  // namespace ane::train
