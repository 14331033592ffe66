#pragma once

#include <memory>
#include <string>

#include "ane/cli/recording_device.h"
#include "ane/cli/settings.h"
#include "ane/math/threads.h"
#include "ane/model/model.h"
#include "ane/surface/pool.h"

namespace ane::cli {

/// What a run computes with, made from its settings.
class Workbench {
 public:
  /// Throws UsageError, DeviceError.
  explicit Workbench(const Settings& settings);

  [[nodiscard]] math::ThreadPool& threads() noexcept { return threads_; }
  [[nodiscard]] RecordingDevice& device() noexcept { return *device_; }
  [[nodiscard]] surface::SurfacePool& surfaces() noexcept { return surfaces_; }
  [[nodiscard]] model::Model& model() noexcept { return *model_; }
  [[nodiscard]] bool on_ane() const { return device_->name() == "ane"; }
  /// A word about the device that was picked; may be empty.
  [[nodiscard]] const std::string& device_note() const noexcept { return device_note_; }

 private:
  math::ThreadPool threads_;
  std::string device_note_;
  std::unique_ptr<RecordingDevice> device_;
  surface::SurfacePool surfaces_;
  std::unique_ptr<model::Model> model_;
};

}  // namespace ane::cli
