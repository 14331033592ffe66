#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ane/cli/recording_device.h"
#include "ane/cli/settings.h"
#include "ane/cli/weights_choice.h"
#include "ane/core/machine.h"
#include "ane/device/fault_device.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/surface/pool.h"

namespace ane::cli {

/// The variable with which tests make a device misbehave (device/fault_device.h). No setting: --help does not list it.
inline constexpr const char* kFaultVariable = "ANE_TRAIN_FAULT";

struct PlannedFaults {
  device::FaultPlan plan;
  std::int64_t process = 1;  ///< of the run, from 1
};

/// What `environment` plans, if it does. Throws UsageError for what is no plan.
[[nodiscard]] std::optional<PlannedFaults> planned_faults(std::span<const std::string> environment,
                                                          std::int64_t process);

/// What a run computes with, made from its settings.
class Workbench {
 public:
  /// Settles what `settings` leaves to the program. `spans` is told of every part of a step, if given. Throws
  /// UsageError, DeviceError.
  explicit Workbench(const Settings& settings, std::optional<PlannedFaults> faults = {},
                     model::SpanListener* spans = nullptr);

  [[nodiscard]] const WeightsDecision& weights() const noexcept { return weights_; }
  [[nodiscard]] math::ThreadPool& threads() noexcept { return threads_; }
  [[nodiscard]] RecordingDevice& device() noexcept { return *device_; }
  [[nodiscard]] surface::SurfacePool& surfaces() noexcept { return surfaces_; }
  [[nodiscard]] model::Model& model() noexcept { return *model_; }
  [[nodiscard]] bool on_ane() const { return device_->name() == "ane"; }
  /// The device in a line for people, and how many sequences it computes side by side.
  [[nodiscard]] std::string device_text() const;
  /// A word about the device that was picked; may be empty.
  [[nodiscard]] const std::string& device_note() const noexcept { return device_note_; }
  /// Before the model reserved addresses for its activations; nothing of its size has been written to yet.
  [[nodiscard]] const std::optional<AvailableMemory>& available_memory() const noexcept { return available_memory_; }
  [[nodiscard]] bool faults_planned() const noexcept { return faults_planned_; }

 private:
  math::ThreadPool threads_;
  std::string device_note_;
  bool faults_planned_;
  int lanes_;
  std::unique_ptr<RecordingDevice> device_;
  WeightsDecision weights_;
  surface::SurfacePool surfaces_;
  std::optional<AvailableMemory> available_memory_;
  std::unique_ptr<model::Model> model_;
};

}  // namespace ane::cli
