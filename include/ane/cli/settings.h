#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/data/sources.h"
#include "ane/device/budget.h"
#include "ane/mil/types.h"
#include "ane/model/config.h"
#include "ane/model/kernel_options.h"
#include "ane/surface/pool.h"
#include "ane/train/options.h"

/// All settings in one table. Precedence: flag > environment > config file > checkpoint of a resumed run > default.
namespace ane::cli {

enum class DeviceChoice { automatic, ane, host };
enum class WeightsChoice { baked, dynamic, automatic };
enum class PackingChoice { width, channels, automatic };
enum class ResumeChoice { never, always, automatic };
enum class CompileIn { process, worker, automatic };
enum class OutputChoice { automatic, plain, dashboard, quiet };

/// The values of a run, each within its range. The defaults train a small Llama on a synthetic source.
struct Settings {
  std::int64_t steps = 0;  ///< 0: not given
  double max_minutes = 0;  ///< 0: no limit
  std::string config;
  std::string data = "synthetic";
  std::string model;      ///< file with initial weights; empty: new weights
  std::string lora;       ///< rank of an adapter to train, or its directory; empty: none
  std::string lora_from;  ///< directory of the adapter to start from, if any; not a row of the table
  double lora_alpha = 0;  ///< 0: twice the rank
  std::string lora_targets = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj";
  bool lora_rank_stabilized = false;
  std::string freeze;     ///< patterns of names, separated by commas
  std::string tokenizer;  ///< file or directory; empty: the one beside the model, if any
  std::string end_token;  ///< name or number; empty: what the files of the model say
  bool mask_prompt = false;
  bool skip_bad_records = false;
  model::Family family = model::Family::llama;

  std::int64_t dim = 64;
  std::int64_t hidden = 176;
  std::int64_t layers = 2;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 0;  ///< 0: as many as heads
  std::int64_t head_dim = 0;  ///< 0: dim / heads
  std::int64_t vocab = 256;
  std::int64_t seq = 64;
  bool tied = true;
  double rope_theta = model::ModelConfig{}.rope_theta;
  double norm_eps = model::ModelConfig{}.norm_eps;
  std::optional<model::RopeScaling> rope_scaling;

  std::int64_t accum_steps = 10;
  train::OptimizerOptions optimizer{.lr = 1e-3};
  double loss_scale = 0;  ///< 0: dynamic
  std::int64_t give_up_after = train::LossScaleOptions{}.give_up_after;
  model::PlanChoice plan = model::PlanChoice::split;
  model::RopeForm rope = model::RopeForm::matrix;
  WeightsChoice weights = WeightsChoice::baked;
  PackingChoice packing = PackingChoice::automatic;
  bool pipeline = false;
  mil::DType precision = mil::DType::fp16;
  data::Order data_order = data::Order::random;
  data::Format data_format = data::Format::automatic;
  std::int64_t seed = 42;

  DeviceChoice device = DeviceChoice::automatic;
  std::int64_t max_compiles = 0;  ///< 0: the default of the device
  CompileIn compile_in = CompileIn::process;
  std::int64_t compile_workers = 2;
  std::int64_t threads = 0;             ///< 0: one for every processor
  std::int64_t parallel_sequences = 0;  ///< 0: chosen for the model
  std::int64_t surface_pool = surface::SurfacePool::kDefaultCapacity;
  std::int64_t ane_qos = 21;
  std::int64_t ane_load_retries = 1;
  std::int64_t ane_cancel_retries = 8;
  bool ane_purge_cache = true;
  bool ane_compare_attributes = true;

  std::int64_t rank_timeout = 300;  ///< seconds
  bool allow_mixed_devices = false;

  std::int64_t val_every = 0;
  std::int64_t val_samples = 0;
  std::int64_t sample_every = 0;
  std::string sample_prompt;
  std::int64_t sample_tokens = 64;
  std::string checkpoint_dir;
  std::int64_t checkpoint_every = 0;
  std::int64_t checkpoint_minutes = 0;
  std::int64_t keep_checkpoints = train::TrainOptions{}.keep_checkpoints;
  bool keep_best = false;
  ResumeChoice resume = ResumeChoice::never;  ///< load_settings() decides `automatic`
  std::string telemetry;
  std::string report;
  std::string profile;
  OutputChoice output = OutputChoice::automatic;
  bool verbose = false;
  std::int64_t log_every = 10;
  std::string dump_mil;
  bool dry_run = false;
  bool time = true;  ///< whether a dry run also measures
  bool print_config = false;
};

enum class ValueKind { number, text, choice, toggle };

/// Whether a value is a path, or names data. A path in a config file is relative to the file.
enum class Paths { none, one, one_unless_number, data };

/// Whether a resumed run takes a setting from its checkpoint if nothing else gives it. A checkpoint's file is not
/// trusted: it may say what is trained on which data and how, but must not name an output file, choose the machine's
/// devices and threads, or cause files to be removed.
enum class FromCheckpoint {
  never,
  always,
  if_larger  ///< than the default
};

/// One row of the table.
struct Setting {
  std::string_view name;         ///< "accum-steps": the flag is --accum-steps, the config key accum_steps
  std::string_view group;        ///< heading in --help
  std::string placeholder = {};  ///< "N", the values of a choice: "adamw|sgd"; empty for a toggle
  std::string help;
  std::string_view environment = {};     ///< environment variable, if any
  std::string_view negation = {};        ///< negating flag of a toggle that is on by default
  bool command_line_only = false;        ///< not allowed in a config file
  bool llama_only = false;               ///< does not apply to the MLP
  std::string_view optional_value = {};  ///< value that may follow the flag of a toggle
  Paths paths = Paths::none;
  FromCheckpoint from_checkpoint = FromCheckpoint::never;

  ValueKind kind = ValueKind::number;
  std::string expects = {};                                      ///< "a whole number from 1 to 1000000"
  std::function<bool(std::string_view, Settings&)> assign = {};  ///< returns false for invalid text
  std::function<std::string(const Settings&)> show = {};

  [[nodiscard]] std::string flag() const;
  [[nodiscard]] std::string key() const;
};

[[nodiscard]] std::span<const Setting> settings_table();
/// The row of that name ("accum-steps"), which must exist.
[[nodiscard]] const Setting& setting(std::string_view name);

/// The text of --rope-scaling.
[[nodiscard]] std::string scaling_text(const std::optional<model::RopeScaling>& scaling);

/// Where a value came from; `place` is the readable form: "--lr", "ANE_DEVICE", "config shakespeare".
enum class Origin { built_in, checkpoint, model_file, config, environment, flag };
struct Provenance {
  Origin origin = Origin::built_in;
  std::string place = "default";
};

struct LoadedSettings {
  Settings values;
  std::map<std::string, Provenance, std::less<>> provenance;  ///< by name; absent: default
  std::vector<std::string> warnings;                          ///< for the log, such as an unknown ANE_ variable

  [[nodiscard]] Provenance origin(std::string_view name) const;
  [[nodiscard]] bool given(std::string_view name) const { return origin(name).origin != Origin::built_in; }
};

/// Texts from the command line by setting name.
using FlagValues = std::map<std::string, std::string, std::less<>>;

/// What a checkpoint records: texts by setting name, of which only those that the table allows are used.
struct RecordedSettings {
  FlagValues values;
  std::string place;  ///< "checkpoint runs/a"
};
/// Finds what the run to be resumed recorded, if `given` resumes one, and replaces `--resume auto` in `given` by what
/// it amounts to.
using FindRecorded = std::function<std::optional<RecordedSettings>(Settings& given)>;

/// Merges flags, `environment` ("NAME=value" entries), the requested config, the checkpoint to be resumed and the
/// defaults. Throws UsageError naming the setting, the value and the allowed values; FileError if the config file
/// cannot be read or is not JSON; whatever `find_recorded` throws.
[[nodiscard]] LoadedSettings load_settings(const FlagValues& flags, std::span<const std::string> environment,
                                           const FindRecorded& find_recorded = {});

/// Converts every value to the text of its flag, by name, and back. A re-executed process gets the settings of its
/// predecessor this way, whatever happened to files and variables in the meantime. thaw() throws UsageError for input
/// that freeze() did not produce.
[[nodiscard]] FlagValues freeze(const Settings& settings);
[[nodiscard]] Settings thaw(const FlagValues& frozen);

/// One line per setting: key, value, origin.
[[nodiscard]] std::string describe(const LoadedSettings& settings);

}  // namespace ane::cli
