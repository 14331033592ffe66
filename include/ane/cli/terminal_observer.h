#pragma once

#include <chrono>
#include <cstdint>

#include "ane/cli/terminal.h"
#include "ane/train/observer.h"

namespace ane::cli {

/// Prints a run as lines on the terminal. Every `log_every` steps, and for the first and the last, there is a step line
/// followed by the lines of its batch; validations, checkpoints and restarts are always printed.
class TerminalObserver final : public train::Observer {
 public:
  struct Plan {
    std::int64_t steps = 0;
    std::int64_t log_every = 1;
    std::int64_t first_step = 1;  ///< of this run; 0 in a re-executed process
  };
  TerminalObserver(Terminal& terminal, const Plan& plan);

  void on_compile(const train::CompileEvent& event) override;
  void on_step(const train::StepEvent& event) override;
  void on_update(const train::UpdateEvent& event) override;
  void on_validation(const train::ValidationEvent& event) override;
  void on_checkpoint(const train::CheckpointEvent& event) override;
  void on_restart(const train::RestartEvent& event) override;
  void on_resume(const train::ResumeEvent& event) override;
  void on_warning(const std::string& message) override;

 private:
  [[nodiscard]] bool logs(std::int64_t step) const noexcept;
  void draw_bar(const train::StepEvent& event);

  Terminal* terminal_;
  Plan plan_;
  std::string compiled_;  ///< printed after the next step line of its batch
  bool batch_logged_ = false;
  double ms_per_step_ = 0;
  std::chrono::steady_clock::time_point bar_drawn_{};
};

}  // namespace ane::cli
