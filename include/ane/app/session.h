#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ane/app/compose.h"
#include "ane/app/invocation.h"
#include "ane/app/known_engine.h"
#include "ane/app/rescue.h"
#include "ane/app/restart_context.h"
#include "ane/app/signals.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/cli/terminal_observer.h"
#include "ane/core/descriptor.h"
#include "ane/data/source.h"
#include "ane/device/budget.h"
#include "ane/distributed/communicator.h"
#include "ane/distributed/rank_link.h"
#include "ane/model/companions.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/partition.h"
#include "ane/train/ranks.h"
#include "ane/train/report.h"
#include "ane/train/run_lock.h"
#include "ane/train/state.h"
#include "ane/train/telemetry.h"
#include "ane/train/text_sampler.h"
#include "ane/train/trace.h"
#include "ane/train/trainer.h"

namespace ane::app {

/// The part of a run that one process executes.
class Session {
 public:
  /// `before`: the restart context of the process that this one replaces, if any. `prepared`: what
  /// prepare_data() returned. `link`: to the rank process, on several ranks, else null. `invocation` must outlive the
  /// object.
  Session(const cli::Settings& settings, std::optional<RestartContext> before, std::optional<train::RunLock> lock,
          PreparedData prepared, std::unique_ptr<distributed::RankLink> link, const Invocation& invocation);

  /// Trains, unless the resumed run is already finished. Returns the exit code; does not return if the process is
  /// replaced. On an error, writes a rescue checkpoint and throws.
  int run();

 private:
  /// 1-based index of this process within the run.
  [[nodiscard]] std::int64_t process() const noexcept { return before_ ? before_->process : 1; }
  /// Whether this process begins with a checkpoint.
  [[nodiscard]] bool resumes_checkpoint() const noexcept;
  /// The companions of the model that the run starts from, and of its tokenizer.
  [[nodiscard]] model::Companions first_companions() const;
  /// Copies companions, for all checkpoints of the run.
  void keep_companions(const model::Companions& companions);
  /// The same for what model::spool() wrote, perhaps in the previous process.
  void keep_companions(Descriptor spool);
  /// If the device did not open after a restart, writes a rescue checkpoint and throws.
  void expect_device();
  /// Begins to use the model that is fine-tuned. If it has changed since the run started, writes a rescue checkpoint
  /// and throws.
  void read_base();
  /// Opens the data. If that fails after a restart, writes a rescue checkpoint and throws.
  void open_data();
  template <class Body>
  void with_rescue(const Body& body);
  /// Opens what samples of text need. If that fails after a restart, writes a rescue checkpoint and throws.
  void open_sampler();
  void report_start(const std::optional<train::ResumeEvent>& resumed);
  /// What the run adapts to, or that it could.
  void report_adaptation();
  [[nodiscard]] train::RunDescription description() const;
  /// Trains or, on several ranks, finds out that nothing is left to train. Returns the exit code.
  int train();
  /// Loads the checkpoint to be resumed.
  [[nodiscard]] train::ResumeEvent load();
  /// Throws UsageError if the ranks would not compute what a single process would.
  void expect_equal_ranks();
  [[nodiscard]] train::Ranks* ranks() noexcept { return link_ ? &ranks_ : nullptr; }
  train::Outcome train_until_outcome(train::Trainer& trainer);
  /// Restarts the process. Returns only by throwing, after writing a rescue checkpoint.
  void replace_process();
  /// Saves and reports a run that ends before its last step; `outcome` is for telemetry, `reason` for the user.
  void end_early(const std::string& outcome, const std::string& reason);
  void warn_once(const std::string& text);
  void report_end(const std::string& outcome);
  void record_end(const std::string& outcome, const train::RunReport& end);
  /// Draws the telemetry if the settings ask for it. Comes after a rescue, which needs the memory and the disk more.
  void write_page();
  void report_hint(const train::RunReport& end);
  [[nodiscard]] train::RunReport report() const;

  StopSignals signals_;  // destroyed last, so that a second signal still finds everything closed
  std::optional<train::RunLock> lock_;
  PreparedData prepared_;
  Descriptor companions_;  ///< of the file that model::spool() wrote; none if there are no companions
  std::unique_ptr<distributed::RankLink> link_;  ///< null for a run in a single process
  distributed::Alone alone_;
  distributed::Communicator& communicator_;
  const Invocation& invocation_;
  std::optional<RestartContext> before_;
  cli::Terminal terminal_{cli::Terminal::LostOutput::is_warned_of};
  Warn warn_ = [this](const std::string& text) { terminal_.warn(text); };
  std::unique_ptr<train::Trace> trace_;
  KnownEngine engine_;
  RunContext context_;
  train::TrainOptions options_;
  train::Partition partition_;
  std::unique_ptr<train::StateArena> state_;
  train::Ranks ranks_;
  std::unique_ptr<train::Telemetry> telemetry_;
  std::unique_ptr<cli::TerminalObserver> lines_;
  std::vector<train::Observer*> observers_;
  device::CompileBudget budget_;
  std::unique_ptr<data::Source> source_;
  std::string data_identity_;
  std::unique_ptr<train::TextSampler> sampler_;  ///< null if no samples are requested
  Rescue rescue_;
};

}  // namespace ane::app
