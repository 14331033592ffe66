#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ane/model/model.h"
#include "ane/train/text_sampler.h"

/// Events of a run for its observers: terminal, telemetry, tests. The Trainer sends all but on_resume, which the code
/// that sets up the state sends. Durations refer to this process unless stated otherwise.
namespace ane::train {

using Duration = model::Duration;

/// The lowest validation loss of a run.
struct BestValidation {
  std::int64_t update = -1;  ///< -1: there was no validation with a finite loss yet
  double loss = 0;
  std::int64_t above = 0;  ///< validations in a row, up to the newest, that did not improve it
};

struct CompileEvent {
  enum class Kind { compile, ahead };
  int kernels = 0;
  Duration time{};
  Kind kind = Kind::compile;
  Duration waited{};  ///< part of `time` that was spent waiting for kernels compiled ahead
};

/// New weights were written to kernels that take them as input.
struct WeightsEvent {
  Duration time{};
};

struct StepEvent {
  std::int64_t step = 0;    ///< completed sequences, including this one
  std::int64_t update = 0;  ///< completed updates
  double loss = 0;          ///< mean over the tokens that count; not finite if none does or the step overflowed
  double lr = 0;
  Duration time{};
  model::StepTimes parts{};
  int compiles = 0;  ///< in this process
  bool more_follow =
      false;  ///< more steps of the same concurrent group follow; `time` and `parts` are one step's share
};

/// Where one rank's time went between two updates, apart from compiling, restarts, validations and checkpoints.
struct RankTimes {
  Duration compute{};   ///< its sequences, and its part of the update
  Duration waiting{};   ///< until the slowest rank has finished its sequences
  Duration exchange{};  ///< of gradients and parameters, not counting what overlaps with the sequences
  std::int64_t sent_bytes = 0;
};

struct UpdateEvent {
  std::int64_t update = 0;
  std::int64_t step = 0;
  int steps_in_batch = 0;
  double mean_loss = 0;       ///< over the tokens that count; not finite if none does
  double loss_sequences = 0;  ///< sum of StepResult::loss_share: steps_in_batch without a mask
  double lr = 0;
  double grad_norm = 0;
  double loss_scale = 1;
  std::optional<std::string> skipped{};  ///< why parameters are unchanged: the tensor that overflowed
  Duration compile{};                    ///< of this batch's kernels
  Duration weights{};                    ///< writing weights to kernels that take them as input
  Duration train{};
  model::StepTimes parts{};
  int compiles = 0;
  bool validation_follows = false;  ///< the next event is the validation of this update, unless it is interrupted
  std::vector<RankTimes> ranks{};   ///< empty for a run in a single process
};

struct ValidationEvent {
  std::int64_t update = 0;  ///< that made the parameters
  std::int64_t step = 0;    ///< completed sequences, in a pipeline more than those of `update`
  double loss = 0;          ///< over the tokens that count; not finite if none does
  std::size_t samples = 0;
  Duration time{};
  BestValidation best{};  ///< of the run, including this one
  /// Whether no earlier validation of the run had as low a loss.
  [[nodiscard]] bool is_best() const noexcept { return best.update == update; }
};

struct TextSampleEvent {
  std::int64_t update = 0;  ///< that made the parameters
  std::int64_t step = 0;    ///< completed sequences, in a pipeline more than those of `update`
  TextSample sample;
  Duration time{};
};

struct CheckpointEvent {
  std::int64_t step = 0;
  std::int64_t update = 0;
  std::filesystem::path path{};
  std::int64_t begin_ns = 0;  ///< of monotonic_ns(); the write may have overlapped with training
  Duration time{};
};

struct RestartEvent {
  std::int64_t step = 0;
  std::int64_t update = 0;
  int compiles = 0;
  double loss = 0;
};

struct ResumeEvent {
  std::int64_t step = 0;
  std::int64_t update = 0;
  double loss = 0;
  bool from_checkpoint = false;  ///< else from the state of the previous process
  Duration time{};               ///< since exec, for a restart
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_compile(const CompileEvent&) {}
  virtual void on_weights(const WeightsEvent&) {}
  virtual void on_step(const StepEvent&) {}
  virtual void on_update(const UpdateEvent&) {}
  virtual void on_validation(const ValidationEvent&) {}
  virtual void on_text_sample(const TextSampleEvent&) {}
  virtual void on_checkpoint(const CheckpointEvent&) {}
  virtual void on_restart(const RestartEvent&) {}
  virtual void on_resume(const ResumeEvent&) {}
  /// A line that needs the user's attention: a skipped update, a fallback.
  virtual void on_warning(const std::string&) {}
};

}  // namespace ane::train
