#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/app/restart_context.h"
#include "ane/app/run_context.h"
#include "ane/app/signals.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/cli/terminal_observer.h"
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

namespace ane::app {

/// The arguments and environment of the process.
struct Invocation {
  std::span<const std::string> arguments;
  std::span<const std::string> environment;
  std::int64_t started_ns = 0;
};

/// The part of a run that one process executes.
class Session {
 public:
  /// `before`: the restart context of the process that this one replaces, if any.
  Session(cli::Settings settings, std::optional<RestartContext> before, std::optional<train::RunLock> lock,
          const Invocation& invocation);

  /// Trains. Returns the exit code; does not return if the process is replaced. On an error, writes a rescue checkpoint
  /// and throws.
  int run();

 private:
  /// 1-based index of this process within the run.
  [[nodiscard]] std::int64_t process() const noexcept { return before_ ? before_->process : 1; }
  std::unique_ptr<train::Trace> make_trace(const std::string& file);
  std::unique_ptr<train::Telemetry> make_telemetry();
  std::unique_ptr<train::StateArena> make_state();
  /// Opens the data. After a restart they must be unchanged; if not, writes a rescue checkpoint and throws.
  std::unique_ptr<data::Source> open_source();
  void load_newest_checkpoint();
  [[nodiscard]] train::CheckpointIdentity identity();
  /// Writes a rescue checkpoint when the run cannot continue, and describes where it is. Throws only if there is not
  /// even enough memory for the message.
  std::string rescue();
  /// Describes the newest checkpoint, for when the current state is unusable.
  std::string earlier_checkpoint();
  void report_start();
  [[nodiscard]] train::RunDescription description();
  train::Outcome train_until_outcome(train::Trainer& trainer);
  /// Restarts the process. Returns only by throwing, after writing a rescue checkpoint.
  void replace_process();
  /// Writes a checkpoint of the current state unless there is one, and returns its directory. Without --checkpoint-dir,
  /// the checkpoint goes into a new directory in the current directory or, if that is not writable, in the directory
  /// for temporary files.
  std::filesystem::path save_checkpoint();
  std::filesystem::path save_unasked_checkpoint();
  void save_checkpoint_in(const std::filesystem::path& folder);
  [[nodiscard]] std::string resume_text(const std::filesystem::path& folder) const;
  int stopped(int signal);
  void report_end(const std::string& outcome);
  void report_hint(const train::RunReport& end);
  [[nodiscard]] train::RunReport report();

  StopSignals signals_;  // destroyed last, so that a second signal still finds everything closed
  std::optional<train::RunLock> lock_;
  Invocation invocation_;
  std::optional<RestartContext> before_;
  std::optional<train::ResumeEvent> resumed_;
  cli::Terminal terminal_{cli::Terminal::LostOutput::is_warned_of};
  std::unique_ptr<train::Trace> trace_;
  RunContext context_;
  cli::Settings settings_;  ///< resolved
  train::TrainOptions options_;
  model::Flops flops_;
  std::unique_ptr<train::StateArena> state_;
  std::unique_ptr<data::Source> source_;
  device::CompileBudget budget_;
  cli::TerminalObserver lines_;
  std::unique_ptr<train::Telemetry> telemetry_;
  std::vector<train::Observer*> observers_{&lines_};
};

}  // namespace ane::app
