#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ane/app/recording_device.h"
#include "ane/app/weights_choice.h"
#include "ane/cli/settings.h"
#include "ane/core/machine.h"
#include "ane/device/fault_device.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/surface/pool.h"

namespace ane::app {

/// Environment variable with which tests inject device faults (device/fault_device.h). Not a setting, so not in --help.
inline constexpr const char* kFaultVariable = "ANE_TRAIN_FAULT";

struct PlannedFaults {
  device::FaultPlan plan;
  std::int64_t process = 1;  ///< 1-based index within the run
};

/// The faults that `environment` requests, if any. Throws UsageError for an invalid plan.
[[nodiscard]] std::optional<PlannedFaults> planned_faults(std::span<const std::string> environment,
                                                          std::int64_t process);

/// Everything that a run computes with, created from its settings.
class RunContext {
 public:
  /// Resolves automatic settings. `spans`, if given, is notified of every part of a step. Throws UsageError,
  /// DeviceError.
  explicit RunContext(const cli::Settings& settings, std::optional<PlannedFaults> faults = {},
                      model::SpanListener* spans = nullptr);

  [[nodiscard]] const WeightsDecision& weights() const noexcept { return weights_; }
  [[nodiscard]] math::ThreadPool& threads() noexcept { return threads_; }
  [[nodiscard]] RecordingDevice& device() noexcept { return *device_; }
  [[nodiscard]] surface::SurfacePool& surfaces() noexcept { return surfaces_; }
  [[nodiscard]] model::Model& model() noexcept { return *model_; }
  [[nodiscard]] bool on_ane() const { return device_->name() == "ane"; }
  /// One-line description of the device and its number of batch slots.
  [[nodiscard]] std::string device_text() const;
  /// Note about the device selection; may be empty.
  [[nodiscard]] const std::string& device_note() const noexcept { return device_note_; }
  /// Memory that was available before the model reserved address space for its activations; no memory of the model's
  /// size had been touched yet.
  [[nodiscard]] const std::optional<AvailableMemory>& available_memory() const noexcept { return available_memory_; }
  [[nodiscard]] bool faults_planned() const noexcept { return faults_planned_; }

 private:
  math::ThreadPool threads_;
  std::string device_note_;
  bool faults_planned_;
  int slots_;
  std::unique_ptr<RecordingDevice> device_;
  WeightsDecision weights_;
  surface::SurfacePool surfaces_;
  std::optional<AvailableMemory> available_memory_;
  std::unique_ptr<model::Model> model_;
};

}  // namespace ane::app
