#include "ane/app/compose.h"

#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "ane/app/fine_tuning.h"
#include "ane/app/model_choice.h"
#include "ane/app/parallel_sequences.h"
#include "ane/app/plan.h"
#include "ane/app/recording_device.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/data/sources.h"
#include "ane/model/adapter.h"
#include "ane/model/models.h"
#include "ane/train/checkpoint.h"
#include "ane/train/optimizer.h"

namespace ane::app {
namespace {

/// One directory for all processes of a run, which share one process ID, so that repeated failures do not fill the
/// disk.
std::filesystem::path failures_directory() {
  return private_temporary_directory(fmt::format("ane-train-failed-{}", ::getpid()));
}

std::unique_ptr<device::Device> instrumented(std::unique_ptr<device::Device> device, const cli::Settings& settings,
                                             const Instruments& instruments) {
  if (instruments.wrap_device) device = instruments.wrap_device(std::move(device));
  RecordingDevice::Settings recording{.failures_to = failures_directory};
  if (instruments.dump_mil && !settings.dump_mil.empty()) recording.dump_to = settings.dump_mil;
  return std::make_unique<RecordingDevice>(std::move(device), std::move(recording));
}

/// Where `--compile-in auto` compiles, with the reason; nullopt if that was not explored.
std::optional<explore::Choice> resolve_compile_in(cli::Settings& settings,
                                                  const std::optional<explore::Adaptation>& adaptation) {
  if (settings.compile_in != cli::CompileIn::automatic) return std::nullopt;
  settings.compile_in = cli::CompileIn::process;
  if (!adaptation || !adaptation->compile_in) return std::nullopt;
  cli::setting("compile-in").assign(adaptation->compile_in->value, settings);
  return adaptation->compile_in;
}

void open_device(RunContext& context, const Instruments& instruments, int slots) try {
  cli::Settings& settings = context.settings;
  device::apple::AneOptions ane = ane_options(settings);
  if (instruments.adaptation) ane = explore::adapted(std::move(ane), *instruments.adaptation);
  const std::optional<explore::Choice> compile_in = resolve_compile_in(settings, instruments.adaptation);
  if (instruments.workers && settings.compile_in == cli::CompileIn::worker)
    ane.workers = worker_options(settings, ane.limits, *instruments.workers);
  PickedDevice picked = pick_device(settings.device, ane, *context.threads, slots);
  if (picked.device->limits_compiles() && instruments.adaptation) {
    context.adaptation = *instruments.adaptation;
    if (compile_in && instruments.workers) context.adaptation.choices.push_back(*compile_in);
  }
  context.device_note = std::move(picked.note);
  context.device = instrumented(std::move(picked.device), context.settings, instruments);
} catch (const DeviceError& error) {
  if (!instruments.replaces_failed_device) throw;
  context.device_failure = error.what();
  context.device = pick_device(cli::DeviceChoice::host, {}, *context.threads, slots).device;
}

/// Settings that differ from those of the run that wrote the checkpoint.
std::vector<std::string> changes_since(const train::SettingTexts& before, const cli::Settings& settings) {
  std::vector<std::string> changes;
  for (const cli::Setting& row : cli::settings_table()) {
    const auto old = before.find(row.name);
    const std::string now = row.show(settings);
    const bool matters = row.group != "Output" && row.name != "config";  // a config only gives other settings
    // A file that is no longer named is not needed: the checkpoint has what was read from it.
    if (matters && !now.empty() && old != before.end() && old->second != now)
      changes.push_back(fmt::format("{} is now {}; it was {}", row.flag(), now, old->second));
  }
  return changes;
}

}  // namespace

std::string RunContext::device_text() const {
  std::string text = device->description();
  if (const std::size_t sequences = model->batch_slots(); sequences > 1)
    text += fmt::format(", {} batch slots", sequences);
  return text;
}

std::unique_ptr<BaseModel> open_base_model(const cli::Settings& settings, const std::optional<RestartContext>& before) {
  if (!is_fine_tuned(settings)) return nullptr;
  if (before) return std::make_unique<BaseModel>(before->base, before->base_digest);
  return std::make_unique<BaseModel>(settings.model);
}

train::FineTuning describe_fine_tuning(RunContext& context) {
  if (!context.base) return {};
  const model::ParameterLayout base = model::parameter_layout(context.model->config());
  const model::Adapter adapter = adapter_of(context.settings, base);
  train::FineTuning fine_tuning{.base = context.base->digest(),
                                .adapter = adapter_text(context.settings, adapter),
                                .adapter_config = {},
                                .frozen = context.frozen.get()};
  if (fine_tuning.has_adapter())
    fine_tuning.adapter_config = model::peft_config_text(adapter, base, context.settings.model);
  return fine_tuning;
}

// Sums depend on the number of threads, and the number of usable processors can change during a run, so the number is
// resolved for all processes.
RunContext make_run_context(const cli::Settings& settings, const Instruments& instruments,
                            std::unique_ptr<BaseModel> base, std::unique_ptr<model::FrozenParameters> frozen) {
  RunContext context;
  context.settings = settings;
  if (settings.threads == 0) context.settings.threads = math::processor_count();
  context.threads = std::make_unique<math::ThreadPool>(static_cast<int>(context.settings.threads));
  const int slots = parallel_sequences(settings, context.threads->size());
  open_device(context, instruments, slots);
  context.packing = resolve_packing(settings, *context.device);
  context.settings.packing = context.packing.choice;
  context.weights = resolve_weights(context.settings, *context.device);
  context.settings.weights = context.weights.choice;
  context.surfaces = std::make_unique<surface::SurfacePool>(context.device->surface_allocator(),
                                                            surfaces_to_keep(settings, *context.device, slots));
  context.available_memory = available_memory();
  context.base = std::move(base);
  context.frozen = std::move(frozen);
  if (context.base) {
    const model::ParameterLayout all = model::parameter_layout(model_config(settings));
    context.frozen = std::make_unique<model::FrozenParameters>(
        all, [&](const model::Parameter& parameter) { return is_frozen(settings, parameter); },
        context.base->open(all));
  }
  context.model = make_model(context.settings, {.device = *context.device,
                                                .surfaces = *context.surfaces,
                                                .threads = *context.threads,
                                                .spans = instruments.spans,
                                                .frozen = context.frozen.get(),
                                                .slots = static_cast<std::size_t>(slots)});
  return context;
}

// If the previous process could no longer write a file, there is no descriptor, and the file stays closed.
std::unique_ptr<train::Trace> open_trace(const cli::Settings& settings, const std::optional<RestartContext>& before,
                                         const Warn& warn) {
  if (settings.profile.empty() || (before && !before->profile)) return nullptr;
  return std::make_unique<train::Trace>(settings.profile, warn, before ? before->profile : std::nullopt);
}

std::unique_ptr<train::Telemetry> open_telemetry(const RunContext& context, const std::optional<RestartContext>& before,
                                                 const Warn& warn) {
  if (context.settings.telemetry.empty() || (before && !before->telemetry)) return nullptr;
  return std::make_unique<train::Telemetry>(context.settings.telemetry,
                                            train::StepCost{.tokens = context.model->config().seq_len,
                                                            .flops = context.model->summary().flops_per_step,
                                                            .peak_tflops = context.device->peak_tflops()},
                                            warn, before ? before->telemetry : std::nullopt);
}

std::unique_ptr<train::StateArena> make_state(RunContext& context, const std::optional<RestartContext>& before,
                                              const train::Partition& partition, const Warn& warn) {
  const cli::Settings& settings = context.settings;
  const std::size_t parameters = context.model->parameters().size();
  train::StateSlots slots =
      partition.own_part_of(train::optimizer_slots(settings.optimizer, context.model->parameters()));
  const std::uint64_t fingerprint = fingerprint_of(settings, context.model->config());
  const train::Staleness staleness = settings.pipeline ? train::Staleness::one_update : train::Staleness::none;
  if (before) {
    return std::make_unique<train::StateArena>(before->state_handle.descriptor, parameters, std::move(slots),
                                               fingerprint, staleness);
  }
  if (const auto warning = check_memory(memory_need(*context.model, settings, *context.device, partition.ranks()),
                                        context.available_memory))
    warn(*warning);
  auto state = std::make_unique<train::StateArena>(parameters, std::move(slots), fingerprint, staleness);
  state->back_with_huge_pages(*context.threads);
  if (settings.resume != cli::ResumeChoice::always) fill_parameters(settings, *context.model, state->parameters());
  return state;
}

std::unique_ptr<data::Source> open_source(const cli::Settings& settings, const std::optional<RestartContext>& before,
                                          const PreparedData& prepared) {
  std::unique_ptr<data::Source> source = make_source(settings, !before, prepared);
  if (before && source->identity() != before->data_identity) {
    throw FileError(fmt::format("the data changed during the run: they were {}, and now are {}", before->data_identity,
                                source->identity()));
  }
  return source;
}

LoadedRun load_checkpoint(const RunContext& context, const train::FineTuning& fine_tuning, const data::Source& source,
                          train::StateArena& state, train::Ranks* ranks, cli::Terminal& terminal) {
  const cli::Settings& settings = context.settings;
  const std::unique_ptr<train::WholeSlots> whole_slots = ranks == nullptr ? nullptr : ranks->whole_slots();
  train::CheckpointIdentity identity = train::identity_of(*context.model, source);
  identity.fine_tuning = fine_tuning;
  const train::LoadedCheckpoint loaded = train::load_newest_checkpoint(
      settings.checkpoint_dir, context.model->parameters(), state, identity, whole_slots.get());
  if (whole_slots) whole_slots->spread_parameters();
  for (const std::string& fault : loaded.unusable) terminal.warn(fault);
  if (!loaded.unusable.empty()) terminal.warn(fmt::format("resuming from {}", loaded.path.string()));
  for (const std::string& change : changes_since(loaded.settings, settings)) terminal.info(change);
  const train::Progress& progress = state.progress();
  if (settings.steps > 0 && progress.step >= settings.steps)
    terminal.info(
        fmt::format("nothing is left to train: the checkpoint is of step {}, and --steps {} counts from the beginning "
                    "of the run; a "
                    "larger --steps continues it",
                    progress.step, settings.steps));
  state.totals().checkpointed_update = progress.update;
  return {{.step = progress.step, .update = progress.update, .loss = progress.last_loss, .from_checkpoint = true},
          loaded.path};
}

}  // namespace ane::app
