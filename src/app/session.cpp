#include "ane/app/session.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>

#include "ane/app/model_choice.h"
#include "ane/app/model_source.h"
#include "ane/app/packing_choice.h"
#include "ane/app/plan.h"
#include "ane/app/rank_settings.h"
#include "ane/app/report_command.h"
#include "ane/app/text_sampler.h"
#include "ane/app/vocabulary.h"
#include "ane/app/weights_choice.h"
#include "ane/cli/version.h"
#include "ane/core/error.h"
#include "ane/train/clock.h"
#include "ane/train/restart.h"

namespace ane::app {
namespace {

/// The trace is first, because its spans end when it is notified.
std::vector<train::Observer*> present(train::Trace* trace, train::Observer& lines, train::Telemetry* telemetry) {
  std::vector<train::Observer*> observers{&lines};
  if (trace != nullptr) observers.insert(observers.begin(), trace);
  if (telemetry != nullptr) observers.push_back(telemetry);
  return observers;
}

/// Different for every run, whatever its seed.
std::uint64_t random_run_id() {
  std::random_device random;
  return std::uint64_t{random()} << 32U | random();
}

/// What the first process of the run knew about the engine, so that all adapt to the same.
KnownEngine inherited_engine(const RestartContext& before) {
  if (before.verdicts.empty()) return {};
  return {explore::parse_verdicts(kSettingsVariable, before.verdicts), {}};
}

train::TrainOptions adapted_options(train::TrainOptions options, const explore::Adaptation& adaptation) {
  train::LossScaleOptions& scale = options.loss_scale;
  if (scale.dynamic && adaptation.largest_loss_scale)
    scale.largest = std::min(scale.largest, *adaptation.largest_loss_scale);
  return options;
}

}  // namespace

Session::Session(const cli::Settings& settings, std::optional<RestartContext> before,
                 std::optional<train::RunLock> lock, PreparedData prepared, std::unique_ptr<distributed::RankLink> link,
                 const Invocation& invocation)
    : lock_(std::move(lock)),
      prepared_(std::move(prepared)),
      link_(std::move(link)),
      communicator_(link_ ? static_cast<distributed::Communicator&>(*link_) : alone_),
      invocation_(invocation),
      before_(std::move(before)),
      trace_(open_trace(settings, before_, warn_)),
      engine_(before_ ? inherited_engine(*before_) : known_engine(settings, invocation.environment)),
      context_(make_run_context(
          settings,
          {.wrap_device = invocation.wrap_device,
           .spans = trace_.get(),
           .dump_mil = !before_,
           .replaces_failed_device = before_.has_value(),
           .adaptation = engine_.adaptation(),
           // A rank must not end alone.
           .workers = WorkerStart{.environment = invocation.environment, .stop = link_ ? nullptr : &signals_.stop()}},
          open_base_model(settings, before_))),
      options_(adapted_options(train_options(context_.settings), context_.adaptation)),
      partition_(context_.model->parameters(), communicator_.size(), communicator_.rank(),
                 [kind = context_.settings.optimizer.kind](const auto& each) {
                   return train::needs_whole_tensor(kind, each);
                 }),
      state_(make_state(context_, before_, partition_, warn_)),
      ranks_(communicator_, partition_, *state_, context_.model->parameters(),
             train::optimizer_slots(context_.settings.optimizer, context_.model->parameters())),
      telemetry_(open_telemetry(context_, before_, warn_)),
      lines_(cli::make_terminal_observer(context_.settings, !before_, terminal_, state_->totals().log)),
      observers_(present(trace_.get(), *lines_, telemetry_.get())),
      budget_(compile_limit(context_.settings, *context_.device)),
      data_identity_(before_ ? before_->data_identity : ""),
      rescue_({.model = *context_.model,
               .state = *state_,
               .options = options_,
               .data_identity = data_identity_,
               .checkpoint_lock = lock_ ? &*lock_ : nullptr,
               .observers = observers_,
               .terminal = terminal_,
               .invocation = invocation_,
               .ranks = ranks()}) {
  if (!link_) return;
  link_->set_timeout(std::chrono::seconds(settings.rank_timeout));
  link_->share(state_->memory(), state_->descriptor());
}

int Session::run() {
  const int code = train();
  communicator_.finish();
  return code;
}

int Session::train() {
  std::optional<train::ResumeEvent> resumed;
  if (before_) {
    const train::Progress& progress = state_->progress();
    resumed = {.step = progress.step,
               .update = progress.update,
               .loss = progress.last_loss,
               .time = train::count_restart(*state_, before_->state_handle)};
  } else {
    state_->totals().started_ns = invocation_.started_ns;
    state_->totals().run_id = random_run_id();
  }
  // Before anything that may fail: then they are part of the rescue checkpoint.
  if (before_ && before_->companions) keep_companions(Descriptor(*before_->companions));
  options_.fine_tuning = describe_fine_tuning(context_);
  expect_device();
  if (context_.device->limits_compiles()) {
    const std::vector<model::KernelInfo> kernels = context_.model->kernels().infos();
    check_pipeline(kernels, context_.settings, context_.device->limits());
    check_programs(kernels, context_.settings, *context_.device);
  }
  read_base();
  open_data();
  if (!before_ && !resumes_checkpoint()) keep_companions(first_companions());
  if (resumes_checkpoint()) {
    resumed = load();
    if (resumed->step >= options_.steps) return 0;
  }
  if (!before_) expect_equal_ranks();
  if (options_.sample_every > 0) open_sampler();
  train::unblock_stop_signals();
  train::Trainer trainer({.model = *context_.model,
                          .source = *source_,
                          .surfaces = *context_.surfaces,
                          .threads = *context_.threads,
                          .budget = budget_,
                          .state = *state_,
                          .observers = observers_,
                          .stop = signals_.stop(),
                          .checkpoint_lock = lock_ ? &*lock_ : nullptr,
                          .sampler = sampler_.get(),
                          .ranks = ranks()},
                         options_);
  report_start(resumed);
  train::Outcome outcome = train_until_outcome(trainer);
  if (outcome == train::Outcome::restart_needed) {
    const train::BlockedSignals blocked;  // from here on, signals stay pending for the next process
    if (link_ && signals_.stop()) ::raise(signals_.number());  // the next process tells the other ranks
    if (link_ || !signals_.stop()) replace_process();
    outcome = train::Outcome::interrupted;
  }
  if (outcome == train::Outcome::interrupted) {
    const int signal = ranks_.any_of(signals_.number());
    end_early("interrupted", fmt::format("stopped by signal {}", signal));
    return kSignalExit + signal;
  }
  if (outcome == train::Outcome::out_of_time)
    end_early("out of time", fmt::format("ended by --max-minutes {}", context_.settings.max_minutes));
  else
    report_end("finished");
  terminal_.expect_all_written();
  return 0;
}

train::ResumeEvent Session::load() {
  if (communicator_.is_first()) {
    const LoadedRun loaded = load_checkpoint(context_, options_.fine_tuning, *source_, *state_, ranks(), terminal_);
    keep_companions(model::companions_in(loaded.checkpoint));
    return loaded.event;
  }
  ranks_.serve_checkpoint();
  const train::Progress& progress = state_->progress();
  return {.step = progress.step, .update = progress.update, .loss = progress.last_loss, .from_checkpoint = true};
}

void Session::expect_equal_ranks() {
  if (!link_) return;
  std::map<std::string, std::string> facts = {
      {"the version of ane-train", cli::version_text()},
      {"the model", model::to_json(context_.model->config())},
      {"the data", data_identity_},
      {"the frozen parameters", options_.fine_tuning.base},
      {"the initial parameters", fmt::format("checksum {:016x}", checksum_of(std::as_bytes(state_->parameters())))}};
  if (!context_.settings.allow_mixed_devices)
    facts["the device (--allow-mixed-devices accepts that they round differently)"] = context_.device->name();
  // Gradients are summed with their scale.
  if (options_.loss_scale.dynamic)
    facts["the largest loss scale that suits its engine (with --loss-scale, all use the same)"] =
        fmt::format("{}", options_.loss_scale.largest);
  expect_equal_facts(communicator_, facts);
  if (communicator_.is_first())
    terminal_.info(
        fmt::format("{} ranks; each sends about {:.2f} MB per update", communicator_.size(),
                    distributed::bytes_per_update(context_.model->parameters().size(), communicator_.size()) / 1e6));
}

bool Session::resumes_checkpoint() const noexcept {
  return context_.settings.resume == cli::ResumeChoice::always && !before_;
}

model::Companions Session::first_companions() const {
  const cli::Settings& settings = context_.settings;
  model::Companions companions;
  if (!settings.model.empty()) companions = companions_of(open_model(settings.model));
  if (!settings.tokenizer.empty()) companions = with_tokenizer(std::move(companions), settings.tokenizer);
  return prepared_.end_token ? with_end_token(std::move(companions), *prepared_.end_token) : companions;
}

// The run's own copy does not change if the model's directory does.
void Session::keep_companions(const model::Companions& companions) {
  if (!companions.empty()) keep_companions(model::spool(companions));
}

void Session::keep_companions(Descriptor spool) {
  ::fcntl(spool.get(), F_SETFD, FD_CLOEXEC);
  companions_ = std::move(spool);
  options_.companions = std::make_shared<const model::Companions>(model::companions_in_spool(companions_.duplicate()));
}

/// Calls body(). If it fails after a restart, writes a rescue checkpoint and throws.
template <class Body>
void Session::with_rescue(const Body& body) try {
  body();
} catch (const DeviceError& error) {
  if (!before_) throw;
  throw DeviceError(fmt::format("{}\n{}", error.what(), rescue_.save_and_describe()));
} catch (const std::exception& error) {
  if (!before_) throw;
  throw FileError(fmt::format("{}\n{}", error.what(), rescue_.save_and_describe()));
}

void Session::expect_device() {
  with_rescue([this] {
    if (!context_.device_failure.empty()) throw DeviceError(context_.device_failure);
  });
}

void Session::read_base() {
  if (context_.frozen) with_rescue([this] { context_.frozen->load_vectors(); });
}

void Session::open_data() {
  with_rescue([this] {
    source_ = open_source(context_.settings, before_, prepared_);
    data_identity_ = source_->identity();
    if (options_.keep_best && source_->validation_count() == 0)
      throw UsageError(fmt::format("--keep-best needs held-out data for a validation loss, but there are none: {}",
                                   source_->description()));
  });
}

// Every process reads the companions, so that samples do not depend on where a run restarts. Only the first one can see
// that the model should have a tokenizer but has none.
void Session::open_sampler() {
  if (context_.settings.sample_every == 0) return;
  with_rescue([this] {
    const bool begins = !before_ && !resumes_checkpoint();
    if (begins) static_cast<void>(language_of(context_.settings));
    sampler_ = make_text_sampler(context_, options_.companions ? language_of(*options_.companions) : Language());
  });
}

void Session::report_start(const std::optional<train::ResumeEvent>& resumed) {
  if (!before_ && !context_.device_note.empty()) terminal_.info(context_.device_note);
  if (const auto line = packing_line(context_.packing, context_.settings); line && !before_) terminal_.info(*line);
  lines_->begin({.model = *context_.model,
                 .source = *source_,
                 .settings = context_.settings,
                 .device = context_.device_text(),
                 .weights_line = weights_line(context_.weights),
                 .first_step = state_->progress().step,
                 .is_first_process = !before_});
  if (const auto warning = source_->warning(); warning && !before_ && communicator_.is_first())
    terminal_.warn(*warning);
  if (!before_ && telemetry_ != nullptr) telemetry_->run(description());
  if (!before_) report_adaptation();
  if (!resumed) return;
  for (train::Observer* observer : observers_) observer->on_resume(*resumed);
}

void Session::report_adaptation() {
  if (!context_.device->limits_compiles() || !communicator_.is_first()) return;
  if (!engine_.note.empty()) terminal_.info(engine_.note);
  for (const std::string& line : adapted_lines(context_.adaptation)) terminal_.info(line);
  if (telemetry_ == nullptr) return;
  for (const explore::Choice& choice : context_.adaptation.choices)
    telemetry_->adapted(state_->progress(), choice.what, choice.value, choice.reason);
}

train::RunDescription Session::description() const {
  return {.run_id = state_->totals().run_id,
          .version = cli::version_text(),
          .start = state_->progress(),
          .model = context_.model->config(),
          .device = context_.device_text(),
          .data = source_->description(),
          .seed = static_cast<std::uint64_t>(context_.settings.seed),
          .threads = context_.threads->size(),
          .ranks = communicator_.size(),
          .max_compiles = budget_.is_limited() ? std::optional(budget_.limit()) : std::nullopt,
          .options = options_};
}

train::Outcome Session::train_until_outcome(train::Trainer& trainer) try {
  const train::Outcome outcome = trainer.run();
  terminal_.clear_bar();
  return outcome;
} catch (const train::LostStateError& error) {
  record_end(error.what(), report());
  warn_once(rescue_.describe_earlier());
  communicator_.finish();  // all ranks have found the same
  write_page();
  throw;
} catch (const DivergedError& error) {
  record_end(error.what(), report());
  warn_once(rescue_.save_and_describe());
  communicator_.finish();
  write_page();
  throw;
} catch (const std::exception& error) {
  record_end(error.what(), report());
  warn_once(link_ ? rescue_.describe_earlier() : rescue_.save_and_describe());  // other ranks cannot help
  write_page();
  throw;
}

/// For what concerns all ranks alike.
void Session::warn_once(const std::string& text) {
  if (communicator_.is_first()) terminal_.warn(text);
}

void Session::replace_process() {
  const train::StateHandle state_handle{state_->descriptor(), train::monotonic_ns()};
  try {
    RestartContext restart_context{.state_handle = state_handle,
                                   .settings = context_.settings,
                                   .data_identity = data_identity_,
                                   .process = process() + 1};
    if (link_) restart_context.link = link_->descriptor();
    if (lock_) restart_context.lock = lock_->descriptor();
    if (prepared_.standard_input) restart_context.standard_input = prepared_.standard_input.get();
    if (prepared_.tokens) restart_context.tokens = prepared_.tokens.get();
    if (companions_) restart_context.companions = companions_.get();
    if (context_.base) {
      restart_context.base = context_.base->files();
      restart_context.base_digest = context_.base->digest();
    }
    if (engine_.verdicts) restart_context.verdicts = explore::to_json(*engine_.verdicts);
    if (telemetry_ != nullptr) restart_context.telemetry = telemetry_->descriptor();
    if (trace_ != nullptr) restart_context.profile = trace_->descriptor();
    train::exec_self(invocation_.arguments, environment_with(invocation_.environment, restart_context),
                     restart_context.descriptors());
  } catch (const Error& error) {
    throw DeviceError(fmt::format("{}\n{}", error.what(), rescue_.save_and_describe()));
  }
}

void Session::end_early(const std::string& outcome, const std::string& reason) {
  const std::filesystem::path directory = rescue_.save();
  report_end(outcome);
  terminal_.info(fmt::format("{} at step {}; resume with:\n  {}", reason, state_->progress().step,
                             rescue_.resume_text(directory)));
}

void Session::report_end(const std::string& outcome) {
  const train::RunReport end = report();
  record_end(outcome, end);
  write_page();
  std::string text = train::efficiency_report(end);
  if (text.ends_with('\n')) text.pop_back();
  terminal_.print(text);
  if (const std::string warning = context_.device->warning(); !warning.empty()) terminal_.warn(warning);
  report_hint(end);
}

void Session::record_end(const std::string& outcome, const train::RunReport& end) {
  if (telemetry_ != nullptr) telemetry_->end(outcome, state_->progress(), end);
}

void Session::write_page() {
  const cli::Settings& settings = context_.settings;
  if (telemetry_ == nullptr || settings.report.empty()) return;
  try {
    static_cast<void>(write_report({settings.telemetry}, settings.report));
  } catch (const std::exception& error) {
    terminal_.warn(fmt::format("--report: {}", error.what()));
  }
}

void Session::report_hint(const train::RunReport& end) {
  const cli::Settings& settings = context_.settings;
  if (settings.output == cli::OutputChoice::quiet) return;
  if (settings.weights != cli::WeightsChoice::baked || settings.pipeline) return;
  const auto kinds = static_cast<int>(make_plan(settings, model::WeightMode::dynamic).kernels().size());
  const std::string hint = train::compile_hint(end, kinds);
  if (!hint.empty() && !obstacle_to_dynamic(settings, *context_.device)) terminal_.print(hint);
}

train::RunReport Session::report() const {
  const train::RunTotals& totals = state_->totals();
  return {.totals = totals,
          .wall_ns = train::monotonic_ns() - totals.started_ns,
          .flops_per_step = context_.model->summary().flops_per_step,
          .device = std::string(context_.device->name()),
          .peak_tflops = context_.device->peak_tflops(),
          .weights = weights_text(context_.settings),
          .surfaces = context_.surfaces->counters()};
}

}  // namespace ane::app
