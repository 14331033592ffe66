#include "ane/app/train_command.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/compose.h"
#include "ane/app/dry_run.h"
#include "ane/app/fine_tuning.h"
#include "ane/app/model_choice.h"
#include "ane/app/output_files.h"
#include "ane/app/rank_settings.h"
#include "ane/app/recorded_settings.h"
#include "ane/app/session.h"
#include "ane/app/signals.h"
#include "ane/cli/terminal.h"
#include "ane/core/descriptor.h"
#include "ane/core/error.h"
#include "ane/distributed/rank_link.h"
#include "ane/distributed/rank_process.h"
#include "ane/train/checkpoint.h"
#include "ane/train/restart.h"
#include "ane/train/run_lock.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

/// Creates the directory and checks at the start, not after hours, that it is writable.
void prepare_directory(const fs::path& directory, std::string_view setting) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error && ::access(directory.c_str(), W_OK | X_OK) != 0) error.assign(errno, std::generic_category());
  if (error)
    throw FileError(
        fmt::format("{} {}: the directory is not writable: {}", setting, directory.string(), error.message()));
}

void check_before_training(const cli::Settings& settings) {
  if (settings.steps == 0 && settings.max_minutes == 0)
    throw UsageError("missing --steps N, the number of training sequences, or --max-minutes M (see ane-train --help)");
  if (!settings.report.empty() && settings.telemetry.empty())
    throw UsageError("--report draws the telemetry of the run; add --telemetry FILE");
  if (!settings.dump_mil.empty()) prepare_directory(settings.dump_mil, "--dump-mil");
}

/// Locks the checkpoint directory for this run.
std::optional<train::RunLock> lock_checkpoints(const cli::Settings& settings) {
  if (settings.checkpoint_dir.empty()) return std::nullopt;
  const bool resumes = settings.resume == cli::ResumeChoice::always;
  if (resumes)
    static_cast<void>(
        train::checkpoints_in(settings.checkpoint_dir));  // do not create a directory just to find it empty
  if (!resumes) prepare_directory(settings.checkpoint_dir, "--checkpoint-dir");
  train::RunLock lock(settings.checkpoint_dir);
  if (!resumes && !train::checkpoints_in(settings.checkpoint_dir).empty()) {
    throw UsageError(fmt::format(
        "--checkpoint-dir {} already contains checkpoints; add --resume to resume from them, or name another directory",
        settings.checkpoint_dir));
  }
  return lock;
}

Descriptor adopt(std::optional<int> descriptor) {
  if (!descriptor) return {};
  ::fcntl(*descriptor, F_SETFD, FD_CLOEXEC);
  return Descriptor(*descriptor);
}

/// Makes sure that the process can still save its state when it reaches a limit.
void prepare_for_limits() {
  leave_processor_time_to_stop();
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit is then a write error instead of a kill
}

int train_here(const cli::FlagValues& flags, std::unique_ptr<distributed::RankLink> link,
               const Invocation& invocation) {
  prepare_for_limits();
  cli::Terminal terminal;
  if (link && !link->is_first()) terminal.mute();  // the first rank prints the same until training begins
  const cli::FindRecorded find_recorded = [&link](cli::Settings& given) {
    return link ? shared_recorded_settings(*link, given) : find_recorded_settings(given);
  };
  cli::LoadedSettings loaded = cli::load_settings(flags, invocation.environment, find_recorded);
  adopt_model_file(loaded);
  adopt_adapter(loaded);
  const DataPreparation preparation{.tokenizer = adopt_tokenizer(loaded), .environment = invocation.environment};
  for (const std::string& warning : loaded.warnings) terminal.warn(warning);
  if (link) loaded.values = settings_of_rank(*link, loaded.values);
  check_output_files(loaded);
  if (loaded.values.print_config) {
    terminal.print(
        fmt::format("{}{:<18} {}", cli::describe(loaded), "model config", model::to_json(model_config(loaded.values))));
    return 0;
  }
  if (loaded.values.dry_run) return dry_run(loaded.values, preparation, invocation.started_ns);
  check_before_training(loaded.values);
  std::optional<train::RunLock> lock;  // only the first rank writes checkpoints
  if (!link || link->is_first()) lock = lock_checkpoints(loaded.values);
  PreparedData prepared =
      prepare_data(loaded.values, preparation, terminal);  // a signal may end it: nothing is lost yet
  const train::BlockedSignals blocked;                     // until the handler is installed
  return Session(loaded.values, std::nullopt, std::move(lock), std::move(prepared), std::move(link), invocation).run();
}

}  // namespace

int train_command(const cli::FlagValues& flags, const Invocation& invocation) {
  if (distributed::launched_ranks() == 1) return train_here(flags, nullptr, invocation);
  distributed::Forked forked = distributed::fork_trainer();
  if (forked.exit_code) return *forked.exit_code;
  Invocation of_trainer = invocation;
  of_trainer.environment = distributed::without_launcher(invocation.environment);
  return train_here(flags, std::make_unique<distributed::RankLink>(std::move(forked.link)), of_trainer);
}

int continue_training(RestartContext before, const Invocation& invocation) {
  prepare_for_limits();
  const train::BlockedSignals blocked;
  const cli::Settings settings = before.settings;
  std::optional<train::RunLock> lock;
  if (before.lock) lock.emplace(settings.checkpoint_dir, *before.lock);
  PreparedData prepared{.standard_input = adopt(before.standard_input), .tokens = adopt(before.tokens)};
  std::unique_ptr<distributed::RankLink> link;
  if (before.link) link = std::make_unique<distributed::RankLink>(adopt(before.link));
  return Session(settings, std::move(before), std::move(lock), std::move(prepared), std::move(link), invocation).run();
}

}  // namespace ane::app
