#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ane/app/base_model.h"
#include "ane/app/data_choice.h"
#include "ane/app/devices.h"
#include "ane/app/packing_choice.h"
#include "ane/app/restart_context.h"
#include "ane/app/weights_choice.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/core/descriptor.h"
#include "ane/core/machine.h"
#include "ane/data/source.h"
#include "ane/device/device.h"
#include "ane/explore/adaptation.h"
#include "ane/math/threads.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/model.h"
#include "ane/surface/pool.h"
#include "ane/train/observer.h"
#include "ane/train/options.h"
#include "ane/train/partition.h"
#include "ane/train/ranks.h"
#include "ane/train/state.h"
#include "ane/train/telemetry.h"
#include "ane/train/trace.h"

/// Creates the objects of a run, in the order of this file. `before`: the restart context of the process that this one
/// replaces, if any.
namespace ane::app {

/// Everything that a run computes with. Each member uses those above it.
struct RunContext {
  cli::Settings settings;  ///< resolved for all processes of the run
  std::unique_ptr<math::ThreadPool> threads;
  std::unique_ptr<device::Device> device;
  std::string device_note;         ///< about the device selection; may be empty
  std::string device_failure;      ///< why the host device replaces the run's device; empty unless it does
  explore::Adaptation adaptation;  ///< without choices on another device than the engine
  PackingDecision packing;
  WeightsDecision weights;
  std::unique_ptr<surface::SurfacePool> surfaces;
  /// Memory that was available before the model reserved address space for its activations; no memory of the model's
  /// size had been touched yet.
  std::optional<AvailableMemory> available_memory;
  std::unique_ptr<BaseModel> base;                  ///< null unless the run fine-tunes a model
  std::unique_ptr<model::FrozenParameters> frozen;  ///< parameters that stay in the model's files; may be null
  std::unique_ptr<model::Model> model;

  /// One-line description of the device and its number of batch slots.
  [[nodiscard]] std::string device_text() const;
};

/// What is attached to a run's device and model.
struct Instruments {
  DeviceWrapper wrap_device{};           ///< may be empty
  model::SpanListener* spans = nullptr;  ///< notified of every part of a step; may be null
  bool dump_mil = true;                  ///< whether to write kernels to the setting's directory, if there is one
  bool replaces_failed_device = false;   ///< by the host device, so that the state of a run can still be saved
  std::optional<explore::Adaptation> adaptation{};  ///< to this machine's engine, if it has been explored
  std::optional<WorkerStart> workers{};             ///< without it, --compile-in does not apply
};

/// The model that the settings fine-tune, adopted from the previous process if there is one; null if everything is
/// trained. Throws FileError, UsageError.
[[nodiscard]] std::unique_ptr<BaseModel> open_base_model(const cli::Settings& settings,
                                                         const std::optional<RestartContext>& before = {});

/// Selects the device, resolves automatic settings and creates the model. `base`: what open_base_model() returned.
/// `frozen`: parameters that stay in the model's files; those that the settings freeze if there is a `base`. Throws
/// UsageError, DeviceError, FileError.
[[nodiscard]] RunContext make_run_context(const cli::Settings& settings, const Instruments& instruments = {},
                                          std::unique_ptr<BaseModel> base = {},
                                          std::unique_ptr<model::FrozenParameters> frozen = {});

/// What the run's checkpoints record about fine-tuning. Reads the base model's files unless the previous process did.
[[nodiscard]] train::FineTuning describe_fine_tuning(RunContext& context);

using Warn = std::function<void(const std::string&)>;

/// Opens the trace of the settings, or continues the previous process's. Null if there is none or if it can no longer
/// be written.
[[nodiscard]] std::unique_ptr<train::Trace> open_trace(const cli::Settings& settings,
                                                       const std::optional<RestartContext>& before, const Warn& warn);
/// The same for telemetry.
[[nodiscard]] std::unique_ptr<train::Telemetry> open_telemetry(const RunContext& context,
                                                               const std::optional<RestartContext>& before,
                                                               const Warn& warn);

/// The state of the previous process, or a fresh one with the initial parameters; without them if the run is resumed,
/// because load_checkpoint() sets them. Its slots are those of this rank's part. Throws UsageError if there is not
/// enough memory for a fresh state, and warns if it is scarce.
[[nodiscard]] std::unique_ptr<train::StateArena> make_state(RunContext& context,
                                                            const std::optional<RestartContext>& before,
                                                            const train::Partition& partition, const Warn& warn);

/// Opens the data, which must be those of the previous process. Throws FileError if they changed.
[[nodiscard]] std::unique_ptr<data::Source> open_source(const cli::Settings& settings,
                                                        const std::optional<RestartContext>& before,
                                                        const PreparedData& prepared = {});

/// What load_checkpoint() loaded.
struct LoadedRun {
  train::ResumeEvent event;
  std::filesystem::path checkpoint;
};

/// Loads the newest undamaged checkpoint, and reports damaged ones and changed settings on the terminal. Throws like
/// train::load_newest_checkpoint(). On several ranks, the first one loads it for all.
[[nodiscard]] LoadedRun load_checkpoint(const RunContext& context, const train::FineTuning& fine_tuning,
                                        const data::Source& source, train::StateArena& state, train::Ranks* ranks,
                                        cli::Terminal& terminal);

}  // namespace ane::app
