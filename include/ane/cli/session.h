#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/cli/handover.h"
#include "ane/cli/settings.h"
#include "ane/cli/signals.h"
#include "ane/cli/terminal.h"
#include "ane/cli/terminal_observer.h"
#include "ane/cli/workbench.h"
#include "ane/data/source.h"
#include "ane/device/budget.h"
#include "ane/model/model.h"
#include "ane/train/checkpoint.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/report.h"
#include "ane/train/run_lock.h"
#include "ane/train/state.h"
#include "ane/train/telemetry.h"
#include "ane/train/trace.h"
#include "ane/train/trainer.h"

namespace ane::cli {

/// What the process was started with.
struct Invocation {
  std::span<const std::string> arguments;
  std::span<const std::string> environment;
  std::int64_t started_ns = 0;
};

/// One process's part of a run, from state to outcome.
class Session {
 public:
  /// `before`: what the process left that this one replaces.
  Session(Settings settings, std::optional<Handover> before, std::optional<train::RunLock> lock,
          const Invocation& invocation);

  /// Trains. Returns the exit code, or not at all where the process is replaced; throws what went wrong, after saving
  /// what was learnt.
  int run();

 private:
  /// The number of this process in the run, from 1.
  [[nodiscard]] std::int64_t process() const noexcept { return before_ ? before_->process : 1; }
  std::unique_ptr<train::Trace> make_trace(const std::string& file);
  std::unique_ptr<train::Telemetry> make_telemetry();
  std::unique_ptr<train::StateArena> make_state();
  /// Opens the data. In a process that replaces another they must be what they were; if not, what was learnt is saved.
  std::unique_ptr<data::Source> open_source();
  void load_newest_checkpoint();
  [[nodiscard]] train::CheckpointIdentity identity();
  /// Saves what was learnt when the run cannot go on, and says where. Throws only if there is no memory even
  /// for words.
  std::string rescue();
  /// The newest checkpoint, for a state that is of no use.
  std::string earlier_checkpoint();
  void tell_start();
  [[nodiscard]] train::RunDescription description();
  train::Outcome train_until_outcome(train::Trainer& trainer);
  /// Returns only by throwing, after saving what was learnt.
  void replace_process();
  /// Unless it is saved already. Returns the folder. Where none was asked for, it is a new one: in the current folder,
  /// or, if that cannot be written, among the temporary files.
  std::filesystem::path save_checkpoint();
  std::filesystem::path save_unasked_checkpoint();
  void save_checkpoint_in(const std::filesystem::path& folder);
  [[nodiscard]] std::string resume_text(const std::filesystem::path& folder) const;
  int stopped(int signal);
  void tell_end(const std::string& outcome);
  void tell_hint(const train::RunReport& end);
  [[nodiscard]] train::RunReport report();

  StopSignals signals_;  // goes last, so that a second signal still finds everything closed
  std::optional<train::RunLock> lock_;
  Invocation invocation_;
  std::optional<Handover> before_;
  std::optional<train::ResumeEvent> resumed_;
  Terminal terminal_{Terminal::LostOutput::is_warned_of};
  std::unique_ptr<train::Trace> trace_;
  Workbench bench_;
  Settings settings_;  ///< with nothing left to the program
  train::TrainOptions options_;
  model::Flops flops_;
  std::unique_ptr<train::StateArena> state_;
  std::unique_ptr<data::Source> source_;
  device::CompileBudget budget_;
  TerminalObserver lines_;
  std::unique_ptr<train::Telemetry> telemetry_;
  std::vector<train::Observer*> observers_{&lines_};
};

}  // namespace ane::cli
