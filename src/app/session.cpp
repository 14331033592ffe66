#include "ane/app/session.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/app/devices.h"
#include "ane/app/model_choice.h"
#include "ane/app/plan.h"
#include "ane/app/weights_choice.h"
#include "ane/cli/lines.h"
#include "ane/cli/resume_command.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/train/clock.h"
#include "ane/train/optimizer.h"
#include "ane/train/restart.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

constexpr int kSignalExit = 128;
const char* const kUnaskedCheckpoints = "ane-train-checkpoint";
constexpr int kMostUnasked = 10000;

/// Creates a new directory in the current one.
fs::path make_folder_here() {
  fs::path folder = kUnaskedCheckpoints;
  for (int i = 2; ::mkdir(folder.c_str(), S_IRWXU | S_IRWXG | S_IRWXO) != 0; ++i) {
    if (errno != EEXIST || i > kMostUnasked)
      throw FileError(fmt::format("{}: the directory could not be created: {}", folder.string(),
                                  std::generic_category().message(errno)));
    folder = fmt::format("{}-{}", kUnaskedCheckpoints, i);
  }
  return folder;
}

fs::path make_temporary_folder() { return make_temporary_directory(kUnaskedCheckpoints); }

/// Resolves automatic settings for all processes of the run: sums depend on the number of threads, and the number of
/// usable processors can change during a run.
cli::Settings resolved_for_all_processes(cli::Settings settings, RunContext& context) {
  settings.threads = context.threads().size();
  return resolved(std::move(settings), context.weights());
}

/// Settings that differ from those of the run that wrote the checkpoint.
std::vector<std::string> changes_since(const train::SettingTexts& before, const cli::Settings& settings) {
  std::vector<std::string> changes;
  for (const cli::Setting& row : cli::settings_table()) {
    const auto old = before.find(row.name);
    const std::string now = row.show(settings);
    if (row.group != "Output" && old != before.end() && old->second != now)
      changes.push_back(fmt::format("{} is now {}; it was {}", row.flag(), now, old->second));
  }
  return changes;
}

}  // namespace

Session::Session(cli::Settings settings, std::optional<RestartContext> before, std::optional<train::RunLock> lock,
                 const Invocation& invocation)
    : lock_(std::move(lock)),
      invocation_(invocation),
      before_(std::move(before)),
      trace_(make_trace(settings.profile)),
      context_(settings, planned_faults(invocation.environment, process()), trace_.get()),
      settings_(resolved_for_all_processes(std::move(settings), context_)),
      options_(train_options(settings_)),
      flops_(context_.model().summary().flops_per_step),
      state_(make_state()),
      budget_(static_cast<int>(settings_.max_compiles)),
      lines_(terminal_, {.steps = settings_.steps,
                         .log_every = settings_.log_every,
                         .first_step = before_ ? 0 : state_->progress().step + 1}) {
  if (trace_ != nullptr)
    observers_.insert(observers_.begin(), trace_.get());  // first, because its spans end when it is notified
  telemetry_ = make_telemetry();
  if (telemetry_ != nullptr) observers_.push_back(telemetry_.get());
}

int Session::run() {
  if (context_.on_ane()) check_pipeline(context_.model().kernels().infos(), settings_);
  source_ = open_source();
  if (settings_.resume && !before_) load_newest_checkpoint();
  train::unblock_stop_signals();
  train::Trainer trainer({.model = context_.model(),
                          .source = *source_,
                          .surfaces = context_.surfaces(),
                          .threads = context_.threads(),
                          .budget = budget_,
                          .state = *state_,
                          .observers = observers_,
                          .stop = signals_.stop(),
                          .checkpoint_lock = lock_ ? &*lock_ : nullptr},
                         options_);
  report_start();
  train::Outcome outcome = train_until_outcome(trainer);
  if (outcome == train::Outcome::restart_needed) {
    const train::BlockedSignals blocked;  // from here on, signals stay pending for the next process
    if (!signals_.stop()) replace_process();
    outcome = train::Outcome::interrupted;
  }
  if (outcome == train::Outcome::interrupted) return stopped(signals_.number());
  report_end("finished");
  terminal_.expect_all_written();
  return 0;
}

// If the previous process could no longer write the file, there is no descriptor, and the file stays closed.
std::unique_ptr<train::Trace> Session::make_trace(const std::string& file) {
  if (file.empty() || (before_ && !before_->profile)) return nullptr;
  return std::make_unique<train::Trace>(
      file, [this](const std::string& text) { terminal_.warn(text); }, before_ ? before_->profile : std::nullopt);
}

std::unique_ptr<train::Telemetry> Session::make_telemetry() {
  if (settings_.telemetry.empty() || (before_ && !before_->telemetry)) return nullptr;
  return std::make_unique<train::Telemetry>(
      settings_.telemetry, flops_, context_.on_ane(), [this](const std::string& text) { terminal_.warn(text); },
      before_ ? before_->telemetry : std::nullopt);
}

std::unique_ptr<train::StateArena> Session::make_state() {
  const model::ParameterLayout& layout = context_.model().parameters();
  const int moments = train::optimizer_moments(settings_.optimizer);
  const train::Staleness staleness = settings_.pipeline ? train::Staleness::one_update : train::Staleness::none;
  const std::uint64_t fingerprint = fingerprint_of(settings_, context_.model().config());
  if (before_) {
    auto state = std::make_unique<train::StateArena>(before_->state_handle.descriptor, layout.size(), moments,
                                                     fingerprint, staleness);
    context_.device().stop_dumping();
    resumed_ = {.step = state->progress().step,
                .loss = state->progress().last_loss,
                .time = train::count_restart(*state, before_->state_handle)};
    return state;
  }
  if (const auto warning = check_memory(memory_need(context_.model(), settings_), context_.available_memory()))
    terminal_.warn(*warning);
  auto state = std::make_unique<train::StateArena>(layout.size(), moments, fingerprint, staleness);
  state->totals().started_ns = invocation_.started_ns;
  state->back_with_huge_pages(context_.threads());
  if (!settings_.resume) fill_parameters(settings_, context_.model(), state->parameters());
  return state;
}

std::unique_ptr<data::Source> Session::open_source() try {
  std::unique_ptr<data::Source> source = make_source(settings_, !before_);
  if (before_ && source->identity() != before_->data_identity) {
    throw FileError(fmt::format("the data changed during the run: they were {}, and now are {}", before_->data_identity,
                                source->identity()));
  }
  return source;
} catch (const Error& error) {
  if (!before_) throw;
  throw FileError(fmt::format("{}\n{}", error.what(), rescue()));
}

void Session::load_newest_checkpoint() {
  const train::LoadedCheckpoint loaded =
      train::load_newest_checkpoint(settings_.checkpoint_dir, context_.model().parameters(), *state_, identity());
  for (const std::string& fault : loaded.unusable) terminal_.warn(fault);
  if (!loaded.unusable.empty()) terminal_.warn(fmt::format("resuming from {}", loaded.path.string()));
  for (const std::string& change : changes_since(loaded.settings, settings_)) terminal_.info(change);
  if (const std::int64_t step = state_->progress().step; step >= settings_.steps)
    terminal_.info(fmt::format(
        "nothing is left to train: the checkpoint is of step {}, and --steps {} counts from the beginning of the run",
        step, settings_.steps));
  state_->totals().checkpointed_update = state_->progress().update;
  resumed_ = {.step = state_->progress().step, .loss = state_->progress().last_loss, .from_checkpoint = true};
}

train::CheckpointIdentity Session::identity() {
  return {.model = context_.model().config(),
          .data = source_ != nullptr ? source_->identity() : before_->data_identity,
          .settings = options_.settings};
}

std::string Session::rescue() try {
  if (state_->progress().update == 0) return "There was no progress to save.";
  return fmt::format("Progress saved at step {}; resume with:\n  {}", state_->progress().step,
                     resume_text(save_checkpoint()));
} catch (const std::exception& error) {
  return fmt::format("The progress could not be saved: {}", error.what());
}

std::string Session::earlier_checkpoint() try {
  const std::vector<fs::path> checkpoints =
      options_.checkpoint_dir ? train::checkpoints_in(*options_.checkpoint_dir) : std::vector<fs::path>();
  if (checkpoints.empty()) return "The current state is unusable and was not saved; there is no earlier checkpoint.";
  const train::Progress& progress = state_->progress();
  const bool has_this_state = state_->totals().checkpointed_update >= progress.update - progress.skipped_in_row;
  return fmt::format(
      "The current state is unusable and was not saved. {} is the newest checkpoint{}; resume with:\n  {}",
      checkpoints.front().string(), has_this_state ? ", but has the same parameters: move it away" : "",
      resume_text(*options_.checkpoint_dir));
} catch (const FileError& error) {
  return fmt::format("The current state is unusable and was not saved: {}", error.what());
}

void Session::report_start() {
  if (!before_) {
    if (!context_.device_note().empty()) terminal_.info(context_.device_note());
    if (context_.faults_planned())
      terminal_.warn(fmt::format("{} is set: device faults will be injected", kFaultVariable));
    const std::vector<model::KernelInfo> kernels = context_.model().kernels().infos();
    for (const std::string& line : cli::header_lines(context_.model(), kernels, settings_)) terminal_.print(line);
    terminal_.print(fmt::format("Device: {}", context_.device_text()));
    if (const auto line = weights_line(context_.weights())) terminal_.print(*line);
    std::string data = fmt::format("Data: {}", source_->description());
    if (const auto floor = source_->loss_floor()) data += fmt::format("; loss floor {:.4f}", *floor);
    terminal_.print(data);
    if (telemetry_ != nullptr) telemetry_->run(description());
  }
  if (resumed_) {
    for (train::Observer* observer : observers_) observer->on_resume(*resumed_);
  }
}

train::RunDescription Session::description() {
  return {.version = cli::version_text(),
          .model = context_.model().config(),
          .device = context_.device_text(),
          .data = source_->description(),
          .seed = static_cast<std::uint64_t>(settings_.seed),
          .threads = context_.threads().size(),
          .max_compiles = budget_.limit(),
          .options = options_};
}

train::Outcome Session::train_until_outcome(train::Trainer& trainer) try {
  const train::Outcome outcome = trainer.run();
  terminal_.clear_bar();
  return outcome;
} catch (const train::LostStateError& error) {
  if (telemetry_ != nullptr) telemetry_->end(error.what(), state_->progress(), report());
  terminal_.warn(earlier_checkpoint());
  throw;
} catch (const std::exception& error) {
  if (telemetry_ != nullptr) telemetry_->end(error.what(), state_->progress(), report());
  terminal_.warn(rescue());
  throw;
}

void Session::replace_process() {
  const train::StateHandle state_handle{state_->descriptor(), train::monotonic_ns()};
  try {
    RestartContext restart_context{.state_handle = state_handle,
                                   .settings = settings_,
                                   .data_identity = source_->identity(),
                                   .process = process() + 1};
    if (lock_) restart_context.lock = lock_->descriptor();
    if (telemetry_ != nullptr) restart_context.telemetry = telemetry_->descriptor();
    if (trace_ != nullptr) restart_context.profile = trace_->descriptor();
    train::exec_self(invocation_.arguments, environment_with(invocation_.environment, restart_context),
                     restart_context.descriptors());
  } catch (const Error& error) {
    throw DeviceError(fmt::format("{}\n{}", error.what(), rescue()));
  }
}

fs::path Session::save_checkpoint() {
  const std::optional<fs::path>& asked = options_.checkpoint_dir;
  if (!asked) return save_unasked_checkpoint();
  if (state_->totals().checkpointed_update == state_->progress().update) return *asked;
  if (lock_) lock_->keep();
  save_checkpoint_in(*asked);
  return *asked;
}

fs::path Session::save_unasked_checkpoint() {
  std::string failure;
  for (const auto make_folder : {make_folder_here, make_temporary_folder}) {
    fs::path folder;
    try {
      folder = make_folder();
      save_checkpoint_in(folder);
      if (!failure.empty()) terminal_.warn(fmt::format("{}; the checkpoint is in {}", failure, folder.string()));
      return folder;
    } catch (const FileError& error) {
      if (!folder.empty()) ::rmdir(folder.c_str());
      failure += fmt::format("{}{}", failure.empty() ? "" : "\n", error.what());
    }
  }
  throw FileError(failure);
}

void Session::save_checkpoint_in(const fs::path& folder) {
  train::CheckpointEvent event{.step = state_->progress().step, .begin_ns = train::monotonic_ns()};
  event.path = train::write_checkpoint(folder, context_.model().parameters(), *state_, identity());
  event.time = train::Duration(train::monotonic_ns() - event.begin_ns);
  for (train::Observer* observer : observers_) observer->on_checkpoint(event);
}

std::string Session::resume_text(const fs::path& folder) const {
  return cli::resume_command(invocation_.arguments, invocation_.environment, folder);
}

int Session::stopped(int signal) {
  const fs::path folder = save_checkpoint();
  report_end("interrupted");
  terminal_.info(fmt::format("stopped by signal {} at step {}; resume with:\n  {}", signal, state_->progress().step,
                             resume_text(folder)));
  return kSignalExit + signal;
}

void Session::report_end(const std::string& outcome) {
  const train::RunReport end = report();
  if (telemetry_ != nullptr) telemetry_->end(outcome, state_->progress(), end);
  std::string text = train::efficiency_report(end);
  if (text.ends_with('\n')) text.pop_back();
  terminal_.print(text);
  if (const std::string warning = context_.device().warning(); !warning.empty()) terminal_.warn(warning);
  report_hint(end);
}

void Session::report_hint(const train::RunReport& end) {
  if (settings_.weights != cli::WeightsChoice::baked || settings_.pipeline) return;
  const auto kinds = static_cast<int>(make_plan(settings_, model::WeightMode::dynamic).kernels().size());
  const std::string hint = train::compile_hint(end, kinds);
  if (!hint.empty() && !obstacle_to_dynamic(settings_, context_.device())) terminal_.print(hint);
}

train::RunReport Session::report() {
  const train::RunTotals& totals = state_->totals();
  return {.totals = totals,
          .wall_ns = train::monotonic_ns() - totals.started_ns,
          .flops_per_step = flops_,
          .device = std::string(context_.device().name()),
          .on_ane = context_.on_ane(),
          .weights = weights_text(settings_),
          .surfaces = context_.surfaces().counters()};
}

}  // namespace ane::app
