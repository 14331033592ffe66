#include "ane/train/trace.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace ane::train {

namespace {

constexpr int kMainThread = 1;
constexpr int kCheckpoints = 2;  // a separate track
constexpr int kWorkers = 2;      // first track of the workers
constexpr char kOpen = '[';

double microseconds(Trace::Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

/// JSON has no non-finite numbers.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

}  // namespace

Trace::Trace(const std::filesystem::path& path, AppendFile::Warn warn, std::optional<int> handed_over)
    : file_(path, "trace", std::move(warn), handed_over) {
  if (!handed_over) {
    file_.empty();
    unwritten_ = kOpen;
    add_name("process_name", kMainThread, "ane-train");
  }
  threads_.emplace(main_, kMainThread);
  add_name("thread_name", kMainThread, "main");
  flush();
}

Trace::~Trace() {
  unwritten_ += "\n]\n";
  try {
    flush();
  } catch (const std::exception&) {  // the warning could not be delivered
  }
}

void Trace::on_span(std::string_view name, Clock::time_point begin, Clock::time_point end) noexcept try {
  const std::lock_guard lock(mutex_);
  const int thread = thread_number();
  if (thread == kMainThread && !first_phase_) first_phase_ = begin;
  add_span(name, thread, begin, end);
} catch (const std::exception&) {  // out of memory: drop the span
}

void Trace::on_compile(const CompileEvent& event) {
  using Kind = CompileEvent::Kind;
  const std::string values = fmt::format(R"("kernels":{})", event.kernels);
  // Kernels compiled ahead have spans on the compiling thread; here is only the time that the run waited for them.
  if (event.kind == Kind::ahead) return close_span("wait for kernels", event.waited, values);
  close_span("compile round", event.time, values);
}

void Trace::on_weights(const WeightsEvent& event) { close_span("weights", event.time, {}); }

void Trace::on_step(const StepEvent& event) {
  step_time_ += event.time;
  if (event.more_follow) return;  // one span for all concurrent steps
  close_span("step", std::exchange(step_time_, {}),
             fmt::format(R"("step":{},"loss":{})", event.step, number(event.loss)));
}

void Trace::on_update(const UpdateEvent& event) {
  close_span("update", Clock::now() - last_end_,
             fmt::format(R"("update":{},"loss":{},"skipped":{})", event.update, number(event.mean_loss),
                         event.skipped.has_value()));
}

void Trace::on_validation(const ValidationEvent& event) {
  close_span("validation", event.time, fmt::format(R"("update":{},"loss":{})", event.update, number(event.loss)));
}

void Trace::on_text_sample(const TextSampleEvent& event) {
  close_span("sample", event.time, fmt::format(R"("update":{},"tokens":{})", event.update, event.sample.tokens));
}

void Trace::on_checkpoint(const CheckpointEvent& event) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point begin{Duration(event.begin_ns)};
  if (!std::exchange(checkpoints_named_, true)) add_name("thread_name", kCheckpoints, "checkpoints");
  add_span("checkpoint", kCheckpoints, begin, begin + event.time, fmt::format(R"("step":{})", event.step));
}

void Trace::on_restart(const RestartEvent& event) {
  close_span("leave process", Clock::now() - last_end_,
             fmt::format(R"("step":{},"compiles":{})", event.step, event.compiles));
}

void Trace::on_resume(const ResumeEvent& event) {
  if (event.from_checkpoint) return;
  const std::lock_guard lock(mutex_);
  last_end_ = Clock::now();
  add_span("restart", kMainThread, last_end_ - event.time, last_end_, fmt::format(R"("step":{})", event.step));
  flush();
}

void Trace::close_span(std::string_view name, Duration time, std::string_view values) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point end = Clock::now();
  // `time` was measured a moment ago, so `end - time` is later than the actual beginning.
  Clock::time_point begin = std::max(end - time, last_end_);
  if (first_phase_) begin = std::min(begin, *first_phase_);
  add_span(name, kMainThread, begin, end, values);
  last_end_ = end;
  first_phase_.reset();
  flush();
}

void Trace::add_span(std::string_view name, int thread, Clock::time_point begin, Clock::time_point end,
                     std::string_view values) {
  separate();
  fmt::format_to(std::back_inserter(unwritten_),
                 R"({{"name":"{}","ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{{}}}}})", name,
                 ::getpid(), thread, microseconds(begin.time_since_epoch()), microseconds(end - begin), values);
}

void Trace::add_name(std::string_view kind, int thread, std::string_view name) {
  separate();
  fmt::format_to(std::back_inserter(unwritten_), R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}}}})",
                 kind, ::getpid(), thread, name);
}

void Trace::separate() { unwritten_ += unwritten_.ends_with(kOpen) ? "\n" : ",\n"; }

void Trace::flush() {
  file_.write(unwritten_);
  unwritten_.clear();
}

int Trace::thread_number() {
  const auto [known, is_new] = threads_.try_emplace(std::this_thread::get_id(), 0);
  if (is_new) {
    const int worker = static_cast<int>(threads_.size()) - 1;
    known->second = kWorkers + worker;
    add_name("thread_name", known->second, fmt::format("worker {}", worker));
  }
  return known->second;
}

}  // namespace ane::train
