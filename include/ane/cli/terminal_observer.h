#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/data/source.h"
#include "ane/model/model.h"
#include "ane/train/log_state.h"
#include "ane/train/observer.h"

namespace ane::cli {

/// What is known about a run when it begins.
struct RunFacts {
  const model::Model& model;
  const data::Source& source;
  const Settings& settings;
  std::string device;                         ///< readable
  std::optional<std::string> weights_line{};  ///< about the weight mode, unless the user chose it
  std::int64_t first_step = 0;                ///< completed before this process
  bool is_first_process = true;
};

/// Prints a run on the terminal.
class TerminalObserver : public train::Observer {
 public:
  /// Called once in each process, before the trainer's events. Prints the header in the first process.
  virtual void begin(const RunFacts& run) = 0;
};

/// The observer for the settings' output. Auto is plain output if standard output is a terminal, and the dashboard's
/// lines otherwise. `log` is what earlier processes printed; it must outlive the observer, as must the terminal.
[[nodiscard]] std::unique_ptr<TerminalObserver> make_terminal_observer(const Settings& settings, bool is_first_process,
                                                                       Terminal& terminal, train::LogState& log);

}  // namespace ane::cli
