#pragma once

#include <cstdint>
#include <string>

#include "ane/cli/step_bar.h"
#include "ane/cli/terminal_observer.h"
#include "ane/train/log_state.h"

namespace ane::cli {

/// Prints a run as the lines that the field's dashboards read. Every `log_every` steps, and for the first and the last,
/// there is a step line followed by the lines of its batch; validations, checkpoints and restarts are always printed.
class DashboardObserver final : public TerminalObserver {
 public:
  struct Plan {
    std::int64_t steps = 0;
    std::int64_t log_every = 1;
    std::int64_t first_step = 1;  ///< of this run; 0 in a re-executed process
  };
  DashboardObserver(Terminal& terminal, train::LogState& log, const Plan& plan);

  void begin(const RunFacts& run) override;
  void on_compile(const train::CompileEvent& event) override;
  void on_step(const train::StepEvent& event) override;
  void on_update(const train::UpdateEvent& event) override;
  void on_validation(const train::ValidationEvent& event) override;
  void on_text_sample(const train::TextSampleEvent& event) override;
  void on_checkpoint(const train::CheckpointEvent& event) override;
  void on_restart(const train::RestartEvent& event) override;
  void on_resume(const train::ResumeEvent& event) override;
  void on_warning(const std::string& message) override;

 private:
  [[nodiscard]] bool logs(std::int64_t step) const noexcept;

  Terminal* terminal_;
  train::LogState* log_;
  Plan plan_;
  StepBar bar_;
  std::string compiled_;  ///< printed after the next step line of its batch
  bool batch_logged_ = false;
  double ms_per_step_ = 0;
};

}  // namespace ane::cli
