#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ane/model/companions.h"
#include "ane/model/frozen_parameters.h"

namespace ane::train {

/// Setting texts by name, for the record.
using SettingTexts = std::map<std::string, std::string, std::less<>>;

enum class OptimizerKind { adamw, muon, lion, sgd };
enum class ScheduleKind { constant, cosine };

/// The defaults are AdamW's; those of the other optimizers are in OptimizerInfo.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adamw;
  double lr = 3e-4;
  double min_lr = 0;        ///< final value of the cosine schedule
  std::int64_t warmup = 0;  ///< updates with linearly increasing rate
  ScheduleKind schedule = ScheduleKind::constant;
  double momentum = 0;  ///< of SGD, and of Muon's matrices
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
  double grad_clip = 1.0;  ///< largest global norm; 0: off
};

struct LossScaleOptions {
  bool dynamic = true;    ///< false: keep the initial value
  double initial = 1024;  ///< 1 with fp32 kernels
  double largest = 65536;
  std::int64_t growth_interval = 2000;  ///< good updates before it doubles
  std::int64_t give_up_after = 100;     ///< skipped updates in a row: diverged
};

/// How kernels with baked weights are refreshed after an update.
enum class RefreshMode {
  compile,  ///< compiled again after the update
  pipeline  ///< compiled during the previous batch, so that each batch is stale by one update
};

/// What a checkpoint of a fine-tuned model records besides what was trained.
struct FineTuning {
  std::string base;  ///< identifies the model that the run started from; empty if nothing is frozen
  std::string
      adapter;  ///< describes the adapter: rank, scale and modules; empty if the model's own parameters are trained
  std::string adapter_config;  ///< text of the adapter's adapter_config.json
  /// Written to the checkpoint beside the trained parameters unless an adapter is trained; may be null.
  const model::FrozenParameters* frozen = nullptr;

  [[nodiscard]] bool has_adapter() const noexcept { return !adapter.empty(); }
};

/// TrainOptions::steps of a run that only its time limits.
inline constexpr std::int64_t kUnlimitedSteps = std::numeric_limits<std::int64_t>::max();

struct TrainOptions {
  std::int64_t steps = 0;  ///< sequences; an update follows every accum_steps, the last one may have fewer
  std::int64_t accum_steps = 10;
  double max_minutes = 0;  ///< of all processes of the run together; 0: no limit
  OptimizerOptions optimizer;
  LossScaleOptions loss_scale;
  RefreshMode refresh_mode = RefreshMode::compile;
  std::int64_t validate_every = 0;      ///< updates; 0: only at the end
  std::int64_t validation_samples = 0;  ///< 0: all held-out samples
  std::int64_t sample_every = 0;        ///< updates between samples of text, and one at the end; 0: none
  std::optional<std::filesystem::path> checkpoint_dir;
  std::int64_t checkpoint_every = 0;    ///< updates; 0: off
  std::int64_t checkpoint_minutes = 0;  ///< minutes since the last one; 0: off
  std::int64_t keep_checkpoints = 3;
  bool keep_best = false;                               ///< also the checkpoint of the lowest validation loss
  SettingTexts settings;                                ///< recorded in checkpoints
  std::shared_ptr<const model::Companions> companions;  ///< copied into checkpoints; may be null
  FineTuning fine_tuning;
};

}  // namespace ane::train
