#include "ane/cli/dashboard_observer.h"

#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/cli/lines.h"

namespace ane::cli {

namespace {

constexpr double kSmoothing = 0.2;  // weight of the newest batch in the time per step

}  // namespace

DashboardObserver::DashboardObserver(Terminal& terminal, train::LogState& log, const Plan& plan)
    : terminal_(&terminal), log_(&log), plan_(plan), bar_(terminal, log, plan.steps) {}

void DashboardObserver::begin(const RunFacts& run) {
  bar_.set_tokens_per_step(static_cast<double>(run.model.config().seq_len));
  if (!run.is_first_process) return;
  const std::vector<model::KernelInfo> kernels = run.model.kernels().infos();
  for (const std::string& line : header_lines(run.model, kernels, run.settings)) terminal_->print(line);
  terminal_->print(fmt::format("Device: {}", run.device));
  if (run.weights_line) terminal_->print(*run.weights_line);
  terminal_->print(data_line(run.source));
}

bool DashboardObserver::logs(std::int64_t step) const noexcept {
  return step % plan_.log_every == 0 || step == plan_.first_step || step == plan_.steps;
}

void DashboardObserver::on_compile(const train::CompileEvent& event) { compiled_ = compiled_line(event); }

void DashboardObserver::on_step(const train::StepEvent& event) {
  if (logs(event.step)) {
    if (!compiled_.empty()) terminal_->print(std::exchange(compiled_, {}));
    terminal_->print(step_line(event));
    batch_logged_ = true;
  }
  const double step_ms = std::chrono::duration<double, std::milli>(event.time).count();
  bar_.draw(event, ms_per_step_ == 0 ? step_ms : ms_per_step_);
}

void DashboardObserver::on_update(const train::UpdateEvent& event) {
  log_->recent_losses.add(event.mean_loss);
  const double ms =
      std::chrono::duration<double, std::milli>(event.compile + event.train).count() / event.steps_in_batch;
  ms_per_step_ = ms_per_step_ == 0 ? ms : ms_per_step_ + kSmoothing * (ms - ms_per_step_);
  if (!std::exchange(batch_logged_, false)) return;
  terminal_->print(batch_line(event));
  terminal_->print(breakdown_line(event));
}

void DashboardObserver::on_validation(const train::ValidationEvent& event) { terminal_->print(validation_line(event)); }
void DashboardObserver::on_text_sample(const train::TextSampleEvent& event) {
  terminal_->print(text_sample_lines(event));
}
void DashboardObserver::on_checkpoint(const train::CheckpointEvent& event) { terminal_->print(checkpoint_line(event)); }
void DashboardObserver::on_restart(const train::RestartEvent& event) { terminal_->print(restart_line(event)); }
void DashboardObserver::on_resume(const train::ResumeEvent& event) { terminal_->print(resumed_line(event)); }
void DashboardObserver::on_warning(const std::string& message) { terminal_->warn(message); }

}  // namespace ane::cli
