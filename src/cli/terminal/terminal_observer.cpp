#include "ane/cli/terminal_observer.h"

#include <utility>

#include "ane/cli/lines.h"

namespace ane::cli {

namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr double kSmoothing = 0.2;  // weight of the newest batch in the time per step

}  // namespace

TerminalObserver::TerminalObserver(Terminal& terminal, const Plan& plan) : terminal_(&terminal), plan_(plan) {}

bool TerminalObserver::logs(std::int64_t step) const noexcept {
  return step % plan_.log_every == 0 || step == plan_.first_step || step == plan_.steps;
}

void TerminalObserver::on_compile(const train::CompileEvent& event) { compiled_ = compiled_line(event); }

void TerminalObserver::on_step(const train::StepEvent& event) {
  if (logs(event.step)) {
    if (!compiled_.empty()) terminal_->print(std::exchange(compiled_, {}));
    terminal_->print(step_line(event));
    batch_logged_ = true;
  }
  draw_bar(event);
}

void TerminalObserver::on_update(const train::UpdateEvent& event) {
  const double ms =
      std::chrono::duration<double, std::milli>(event.compile + event.train).count() / event.steps_in_batch;
  ms_per_step_ = ms_per_step_ == 0 ? ms : ms_per_step_ + kSmoothing * (ms - ms_per_step_);
  if (!std::exchange(batch_logged_, false)) return;
  terminal_->print(batch_line(event));
  terminal_->print(breakdown_line(event));
}

void TerminalObserver::on_validation(const train::ValidationEvent& event) { terminal_->print(validation_line(event)); }
void TerminalObserver::on_checkpoint(const train::CheckpointEvent& event) { terminal_->print(checkpoint_line(event)); }
void TerminalObserver::on_restart(const train::RestartEvent& event) { terminal_->print(restart_line(event)); }
void TerminalObserver::on_resume(const train::ResumeEvent& event) { terminal_->print(resumed_line(event)); }
void TerminalObserver::on_warning(const std::string& message) { terminal_->warn(message); }

void TerminalObserver::draw_bar(const train::StepEvent& event) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_->has_bar() || now - bar_drawn_ < kBarInterval) return;
  bar_drawn_ = now;
  const double step_ms = std::chrono::duration<double, std::milli>(event.time).count();
  terminal_->show_bar(progress_bar({.step = event.step,
                                    .steps = plan_.steps,
                                    .loss = event.loss,
                                    .ms_per_step = ms_per_step_ == 0 ? step_ms : ms_per_step_},
                                   Terminal::columns()));
}

}  // namespace ane::cli
