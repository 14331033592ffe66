#include "ane/train/weight_refresher.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ane/core/background.h"
#include "ane/core/error.h"
#include "ane/train/restart.h"

namespace ane::train {

using model::PassMode;

int smallest_budget(const model::Kernels& kernels, RefreshMode refresh_mode) {
  return kernels.compiles_needed(PassMode::training) +
         (refresh_mode == RefreshMode::pipeline ? kernels.compiles_ahead() : 0);
}

WeightRefresher::WeightRefresher(const Parts& parts, RefreshMode refresh_mode)
    : parts_(parts), refresh_mode_(refresh_mode) {
  assert((parts_.state.staleness() == Staleness::one_update) == (refresh_mode == RefreshMode::pipeline));
  if (refresh_mode_ != RefreshMode::pipeline) return;
  if (parts_.state.progress().update == 0) {
    before_update();
  } else {
    running_ = newest_ - 1;
  }
}

template <class Event>
void WeightRefresher::notify(void (Observer::*hook)(const Event&), const Event& event) const {
  for (Observer* observer : parts_.observers) (observer->*hook)(event);
}

bool WeightRefresher::refresh(PassMode mode) {
  time_ = std::exchange(waited_, {});
  weights_time_ = {};
  const std::int64_t version = mode == PassMode::forward ? newest_ : running_;
  if (holds(mode, version)) return true;
  if (ahead_ && ahead_->version == version) return adopt();
  return compile_or_load(mode, version);
}

bool WeightRefresher::holds(PassMode mode, std::int64_t version) const noexcept {
  return held_ && held_->version == version && (held_->mode == PassMode::training || held_->mode == mode);
}

std::span<const float> WeightRefresher::parameters() const noexcept {
  return held_ && held_->version == running_ ? parts_.state.running_parameters() : parts_.state.parameters();
}

bool WeightRefresher::compile_or_load(PassMode mode, std::int64_t version) {
  wait();
  ahead_.reset();
  const int needed = parts_.kernels.compiles_needed(mode);
  if (!parts_.budget.try_take(needed)) return false;
  held_.reset();
  parts_.clock.leave_out();
  const std::span<const float> parameters =
      version == running_ ? parts_.state.running_parameters() : parts_.state.parameters();
  if (needed > 0 && !compile(mode, needed, parameters)) return false;
  if (parts_.kernels.load_weights(mode, parameters)) {
    weights_time_ = parts_.clock.book(&RunTotals::weights_ns);
    notify(&Observer::on_weights, WeightsEvent{weights_time_});
  }
  held_ = {mode, version};
  return true;
}

bool WeightRefresher::compile(PassMode mode, int kernels, std::span<const float> parameters) {
  const std::int64_t by_workers_before = parts_.kernels.compiled_by_workers();
  try {
    parts_.kernels.compile(mode, parameters);
  } catch (const device::CompileError& error) {
    parts_.clock.book(&RunTotals::compile_ns);
    return retry_in_fresh_process(error);
  } catch (const device::CompileStopped&) {
    parts_.clock.book(&RunTotals::compile_ns);
    return false;
  }
  const Duration time = parts_.clock.book(&RunTotals::compile_ns);
  time_ += time;
  count_round(mode, kernels, static_cast<int>(parts_.kernels.compiled_by_workers() - by_workers_before));
  notify(&Observer::on_compile, CompileEvent{.kernels = kernels, .time = time});
  return true;
}

bool WeightRefresher::retry_in_fresh_process(const device::CompileError& error) {
  if (++parts_.state.totals().failed_compiles_in_row > 1) throw;
  notify(&Observer::on_warning, fmt::format("a compile failed and is retried in a fresh process: {}", error.what()));
  return false;
}

void WeightRefresher::count_round(PassMode mode, int kernels, int by_workers) {
  RunTotals& totals = parts_.state.totals();
  totals.failed_compiles_in_row = 0;
  totals.compiles += kernels - by_workers;
  totals.worker_compiles += by_workers;
  parts_.budget.give_back(by_workers);
  ++(mode == PassMode::training ? totals.compile_rounds : totals.forward_compile_rounds);
}

void WeightRefresher::compile_next() {
  if (refresh_mode_ != RefreshMode::pipeline || ahead_ || newest_ == running_) return;
  const int needed = parts_.kernels.compiles_ahead();
  if (!parts_.budget.try_take(needed)) return;
  const auto compile = [&kernels = parts_.kernels, parameters = parts_.state.parameters()]() -> Round {
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t by_workers_before = kernels.compiled_by_workers();
    kernels.compile_ahead(parameters);
    return {.time = std::chrono::steady_clock::now() - begin,
            .by_workers = static_cast<int>(kernels.compiled_by_workers() - by_workers_before)};
  };
  const BlockedSignals blocked;  // the new thread must never receive one
  // If no thread can be started, wait() compiles.
  ahead_ = {newest_, needed, run_in_background(compile)};
}

void WeightRefresher::wait() {
  if (!ahead_) return;
  parts_.clock.leave_out();
  ahead_->round.wait();
  waited_ += parts_.clock.book(&RunTotals::compile_ns);
}

bool WeightRefresher::adopt() {
  wait();
  time_ += std::exchange(waited_, {});
  Ahead ahead = std::move(*std::exchange(ahead_, std::nullopt));
  Round round{};
  try {
    round = ahead.round.get();
  } catch (const device::CompileError& error) {
    return retry_in_fresh_process(error);
  } catch (const device::CompileStopped&) {
    return false;
  }
  parts_.kernels.adopt_ahead();
  held_ = {PassMode::training, ahead.version};
  count_round(PassMode::training, ahead.kernels, round.by_workers);
  parts_.state.totals().hidden_compile_ns += std::max(Duration{}, round.time - time_).count();
  notify(
      &Observer::on_compile,
      CompileEvent{.kernels = ahead.kernels, .time = round.time, .kind = CompileEvent::Kind::ahead, .waited = time_});
  return true;
}

void WeightRefresher::before_update() {
  if (refresh_mode_ != RefreshMode::pipeline) return;
  wait();  // the compile reads the parameters
  constexpr std::size_t kGrain = 1 << 16;
  const std::span<const float> newest = parts_.state.parameters();
  const std::span<float> running = parts_.state.running_parameters();
  parts_.threads.parallel_for(newest.size(), kGrain, [&](math::Range range) {
    std::ranges::copy(newest.subspan(range.begin, range.size()), running.subspan(range.begin).begin());
  });
  running_ = newest_;
}

void WeightRefresher::parameters_changed() noexcept {
  ++newest_;
  if (refresh_mode_ != RefreshMode::pipeline) running_ = newest_;
}

}  // namespace ane::train
