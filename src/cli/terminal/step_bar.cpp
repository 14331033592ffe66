#include "ane/cli/step_bar.h"

#include "ane/cli/lines.h"

namespace ane::cli {

void StepBar::draw(const train::StepEvent& event, double ms_per_step) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  if (!terminal_->has_bar()) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kInterval) return;
  drawn_ = now;
  BarState state{.step = event.step,
                 .steps = steps_,
                 .loss = event.loss,
                 .ms_per_step = ms_per_step,
                 .tokens_per_step = tokens_per_step_};
  if (terminal_->features().has_utf8) state.recent_losses = log_->recent_losses.in_order();
  terminal_->show_bar(progress_bar(state, Terminal::columns()));
}

}  // namespace ane::cli
