#include "ane/cli/terminal_observer.h"

#include <unistd.h>

#include "ane/cli/dashboard_observer.h"
#include "ane/cli/plain_observer.h"

namespace ane::cli {
namespace {

/// For the report alone: prints nothing but warnings.
class QuietObserver final : public TerminalObserver {
 public:
  explicit QuietObserver(Terminal& terminal) : terminal_(&terminal) {}
  void begin(const RunFacts& /*run*/) override {}
  void on_warning(const std::string& message) override { terminal_->warn(message); }

 private:
  Terminal* terminal_;
};

}  // namespace

std::unique_ptr<TerminalObserver> make_terminal_observer(const Settings& settings, bool is_first_process,
                                                         Terminal& terminal, train::LogState& log) {
  OutputChoice output = settings.output;
  if (output == OutputChoice::automatic)
    output = ::isatty(STDOUT_FILENO) == 1 ? OutputChoice::plain : OutputChoice::dashboard;
  if (output == OutputChoice::quiet) return std::make_unique<QuietObserver>(terminal);
  if (output == OutputChoice::plain)
    return std::make_unique<PlainObserver>(terminal, log,
                                           PlainObserver::Plan{.steps = settings.steps,
                                                               .accum_steps = settings.accum_steps,
                                                               .log_every = settings.log_every,
                                                               .verbose = settings.verbose});
  return std::make_unique<DashboardObserver>(
      terminal, log,
      DashboardObserver::Plan{
          .steps = settings.steps, .log_every = settings.log_every, .first_step = is_first_process ? 1 : 0});
}

}  // namespace ane::cli
