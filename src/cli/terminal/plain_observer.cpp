#include "ane/cli/plain_observer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "ane/cli/lines.h"
#include "ane/cli/plain_lines.h"
#include "ane/core/checked.h"

namespace ane::cli {
namespace {

constexpr std::int64_t kLongRise = 5;  // validations

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

}  // namespace

PlainObserver::PlainObserver(Terminal& terminal, train::LogState& log, const Plan& plan, Clock now)
    : terminal_(&terminal), log_(&log), plan_(plan), now_(std::move(now)), bar_(terminal, log, plan.steps) {}

void PlainObserver::begin(const RunFacts& run) {
  tokens_per_step_ = static_cast<double>(run.model.config().seq_len);
  bar_.set_tokens_per_step(tokens_per_step_);
  bytes_per_token_ = run.source.bytes_per_token();
  if (const auto tokens = run.source.training_tokens()) training_tokens_ = static_cast<double>(*tokens);
  if (!run.is_first_process) return;
  for (const std::string& line : plain_header(run)) terminal_->print(line);
  log_->measured_step = run.first_step;
  log_->measured_ns = log_->interval_ns = now_();
}

void PlainObserver::on_step(const train::StepEvent& event) {
  if (terminal_->has_bar()) bar_.draw(event, 1000 * seconds_per_step(event.step, now_()));
}

void PlainObserver::on_update(const train::UpdateEvent& event) {
  print_waiting_line();
  log_->recent_losses.add(event.mean_loss);
  log_->steps += event.steps_in_batch;
  if (std::isfinite(event.mean_loss)) {
    log_->loss_sum += event.mean_loss * event.loss_sequences;
    log_->loss_sequences += event.loss_sequences;
  }
  const bool is_first = !std::exchange(log_->began, true);
  const bool is_due = is_first || log_->steps >= plan_.log_every || (plan_.steps > 0 && event.step >= plan_.steps);
  if (!is_due && !event.validation_follows) return;

  const std::int64_t now = now_();
  const std::int64_t steps_left = std::max<std::int64_t>(plan_.steps - event.step, 0);
  log_->line = {
      .update = event.update,
      .updates = plan_.steps > 0 ? event.update + ceil_div(steps_left, plan_.accum_steps) : 0,
      .epoch = training_tokens_ ? static_cast<double>(event.step) * tokens_per_step_ / *training_tokens_ : 0,
      .train_loss =
          log_->loss_sequences > 0 ? log_->loss_sum / log_->loss_sequences : std::numeric_limits<double>::quiet_NaN(),
      .lr = event.lr,
      .grad_norm = event.grad_norm,
      .tokens_per_second = static_cast<double>(log_->steps) * tokens_per_step_ / seconds(now - log_->interval_ns),
      .seconds_left = static_cast<double>(steps_left) * seconds_per_step(event.step, now)};
  log_->steps = 0;
  log_->loss_sequences = log_->loss_sum = 0;
  log_->interval_ns = now;
  if (is_first) {  // the first batch is slower than those that follow
    log_->measured_step = event.step;
    log_->measured_ns = now;
  }
  log_->line_waits = true;
  if (!event.validation_follows) print_waiting_line();
}

void PlainObserver::on_validation(const train::ValidationEvent& event) {
  log_->interval_ns += event.time.count();
  if (log_->line_waits && log_->line.update == event.update) {
    log_->line_waits = false;
    terminal_->print(update_line(log_->line, &event, bytes_per_token_));
  } else {
    print_waiting_line();
    terminal_->print(lone_validation_line(event, log_->line.updates, bytes_per_token_));
  }
  if (event.best.update >= 0 && event.best.above >= kLongRise && !std::exchange(log_->warned_of_rise, true))
    terminal_->print(rise_line(event.best));
}

void PlainObserver::on_text_sample(const train::TextSampleEvent& event) {
  log_->interval_ns += event.time.count();
  print_waiting_line();
  terminal_->print(text_sample_lines(event));
}

void PlainObserver::on_checkpoint(const train::CheckpointEvent& event) {
  print_waiting_line();
  terminal_->print(fmt::format("checkpoint of step {}: {}", event.step, event.path.string()));
}

void PlainObserver::on_resume(const train::ResumeEvent& event) {
  if (event.from_checkpoint)
    terminal_->print(fmt::format("resumed from the checkpoint of step {}", event.step));
  else if (plan_.verbose)
    terminal_->print(fmt::format("restarted after step {} in {:.1f} ms", event.step,
                                 std::chrono::duration<double, std::milli>(event.time).count()));
}

void PlainObserver::on_warning(const std::string& message) {
  print_waiting_line();
  terminal_->warn(message);
}

/// Prints the line that waits for a validation, without one.
void PlainObserver::print_waiting_line() {
  if (std::exchange(log_->line_waits, false)) terminal_->print(update_line(log_->line, nullptr, bytes_per_token_));
}

/// Includes everything that a run does between steps.
double PlainObserver::seconds_per_step(std::int64_t step, std::int64_t now) const noexcept {
  const std::int64_t steps = step - log_->measured_step;
  return steps > 0 ? seconds(now - log_->measured_ns) / static_cast<double>(steps) : 0;
}

}  // namespace ane::cli
