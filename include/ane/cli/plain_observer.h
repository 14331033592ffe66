#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "ane/cli/step_bar.h"
#include "ane/cli/terminal_observer.h"
#include "ane/train/clock.h"

namespace ane::cli {

/// Prints a run for people: a short header, then one line for the first and the last update, for each update with a
/// validation, and for the update at which at least `log_every` steps have passed since the last line. Restarts are
/// printed only if `verbose`.
class PlainObserver final : public TerminalObserver {
 public:
  struct Plan {
    std::int64_t steps = 0;
    std::int64_t accum_steps = 1;
    std::int64_t log_every = 1;
    bool verbose = false;
  };
  using Clock = std::function<std::int64_t()>;

  /// `now`: a monotonic clock in nanoseconds that continues across restarts.
  PlainObserver(Terminal& terminal, train::LogState& log, const Plan& plan, Clock now = train::monotonic_ns);

  void begin(const RunFacts& run) override;
  void on_step(const train::StepEvent& event) override;
  void on_update(const train::UpdateEvent& event) override;
  void on_validation(const train::ValidationEvent& event) override;
  void on_text_sample(const train::TextSampleEvent& event) override;
  void on_checkpoint(const train::CheckpointEvent& event) override;
  void on_resume(const train::ResumeEvent& event) override;
  void on_warning(const std::string& message) override;

 private:
  void print_waiting_line();
  [[nodiscard]] double seconds_per_step(std::int64_t step, std::int64_t now) const noexcept;

  Terminal* terminal_;
  train::LogState* log_;
  Plan plan_;
  Clock now_;
  StepBar bar_;
  double tokens_per_step_ = 0;
  std::optional<double> training_tokens_;
  std::optional<double> bytes_per_token_;
};

}  // namespace ane::cli
