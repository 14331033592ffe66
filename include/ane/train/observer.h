#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "ane/model/model.h"

/// What a run tells to whoever watches: terminal, telemetry, tests. The Trainer sends everything but on_resume, which
/// comes from whoever set up the state. Durations are of this process unless they say otherwise.
namespace ane::train {

using Duration = model::Duration;

struct CompileEvent {
  enum class Kind { compile, ahead };
  int kernels = 0;
  Duration time{};
  Kind kind = Kind::compile;
  Duration waited{};  ///< of `time`, for kernels that were compiled ahead
};

/// Kernels that take weights as input were given new ones.
struct WeightsEvent {
  Duration time{};
};

struct StepEvent {
  std::int64_t step = 0;  ///< sequences done, this one included
  double loss = 0;        ///< not finite if the step overflowed
  double lr = 0;
  Duration time{};
  model::StepTimes parts{};
  int compiles = 0;          ///< in this process
  bool more_follow = false;  ///< of those that ran side by side: `time` and `parts` are a step's share
};

struct UpdateEvent {
  std::int64_t update = 0;
  std::int64_t step = 0;
  int steps_in_batch = 0;
  double mean_loss = 0;
  double lr = 0;
  double grad_norm = 0;
  double loss_scale = 1;
  std::optional<std::string> skipped{};  ///< why parameters were left alone: the tensor that overflowed
  Duration compile{};                    ///< of this batch's kernels
  Duration weights{};                    ///< of handing weights to kernels that take them as input
  Duration train{};
  model::StepTimes parts{};
  int compiles = 0;
};

struct ValidationEvent {
  std::int64_t update = 0;
  double loss = 0;
  std::size_t samples = 0;
  Duration time{};
};

struct CheckpointEvent {
  std::int64_t step = 0;
  std::filesystem::path path{};
  std::int64_t begin_ns = 0;  ///< of monotonic_ns(): it may have been written beside the training
  Duration time{};
};

struct RestartEvent {
  std::int64_t step = 0;
  int compiles = 0;
  double loss = 0;
};

struct ResumeEvent {
  std::int64_t step = 0;
  double loss = 0;
  bool from_checkpoint = false;  ///< else from the state of the process before
  Duration time{};               ///< from exec to here, for a restart
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_compile(const CompileEvent&) {}
  virtual void on_weights(const WeightsEvent&) {}
  virtual void on_step(const StepEvent&) {}
  virtual void on_update(const UpdateEvent&) {}
  virtual void on_validation(const ValidationEvent&) {}
  virtual void on_checkpoint(const CheckpointEvent&) {}
  virtual void on_restart(const RestartEvent&) {}
  virtual void on_resume(const ResumeEvent&) {}
  /// A line worth a person's attention: a skipped update, a fallback.
  virtual void on_warning(const std::string&) {}
};

}  // namespace ane::train
