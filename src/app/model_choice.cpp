#include "ane/app/model_choice.h"

#include <algorithm>
#include <cassert>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ane/app/fine_tuning.h"
#include "ane/app/model_source.h"
#include "ane/core/error.h"
#include "ane/model/models.h"
#include "ane/model/parameter_reader.h"
#include "ane/model/weight_files.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

constexpr std::int64_t kDefaultSequence = 1024;

/// The value as text, with defaults that depend on other dimensions resolved, so that it can be compared with a number.
std::string shown(const cli::Setting& row, const cli::Settings& values) {
  if (row.name == "kv-heads" && values.kv_heads == 0) return fmt::format("{}", values.heads);
  if (row.name == "head-dim" && values.head_dim == 0) return fmt::format("{}", values.dim / values.heads);
  return row.show(values);
}

/// Adopts the model setting `name` with its value in `file`. A model file must not set anything else, because files are
/// untrusted: they must never name a path or change how a run behaves.
void adopt(const std::string& name, const std::string& value, const std::string& file, cli::LoadedSettings& loaded) {
  const std::span<const cli::Setting> rows = cli::settings_table();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const cli::Setting& r) { return r.name == name; });
  cli::Settings adopted = loaded.values;
  if (row == rows.end() || !row->assign(value, adopted)) {
    throw FileError(fmt::format("{}: its {} is '{}', which is not supported", file, name, value));
  }
  if (loaded.given(row->name)) {
    const std::string given = shown(*row, loaded.values);
    const bool shorter = row->name == "seq" && loaded.values.seq < adopted.seq;
    if (given == shown(*row, adopted) || shorter) return;
    if (row->name == "seq")
      throw UsageError(
          fmt::format("{} is {} ({}), but the longest sequence of the model in {} is {}: its positions, or its sliding "
                      "window; omit "
                      "it to use the model's",
                      row->key(), given, loaded.origin(row->name).place, file, value));
    throw UsageError(fmt::format("{} is {} ({}), but {} has {}; omit it to use the model's", row->key(), given,
                                 loaded.origin(row->name).place, file, value));
  }
  loaded.values = adopted;
  loaded.provenance[std::string(row->name)] = {cli::Origin::model_file, fmt::format("model {}", file)};
}

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

/// The parameters of the model that the settings describe. Invalid dimensions come from the file, hence FileError.
model::ParameterLayout layout_of(const cli::LoadedSettings& loaded) try {
  return model::parameter_layout(model_config(loaded.values));
} catch (const UsageError& error) {
  if (loaded.origin("family").origin != cli::Origin::model_file) throw;
  throw FileError(fmt::format("{}: its dimensions are invalid: {}", loaded.values.model, error.what()));
}

}  // namespace

model::ModelConfig model_config(const cli::Settings& settings) {
  const bool is_mlp = settings.family == model::Family::mlp;
  model::ModelConfig config{.family = settings.family, .dim = size(settings.dim), .hidden = size(settings.hidden)};
  config.seq_len = size(settings.seq);
  if (is_mlp) return config;
  if (settings.head_dim == 0 && settings.dim % settings.heads != 0)
    throw UsageError(fmt::format("dim is {} and heads is {}, but heads must divide dim unless --head-dim is given",
                                 settings.dim, settings.heads));
  config.layers = size(settings.layers);
  config.heads = size(settings.heads);
  config.kv_heads = size(settings.kv_heads == 0 ? settings.heads : settings.kv_heads);
  config.head_dim = size(settings.head_dim == 0 ? settings.dim / settings.heads : settings.head_dim);
  config.vocab = size(settings.vocab);
  config.tied_embeddings = settings.tied;
  config.norm_eps = settings.norm_eps;
  config.rope_theta = settings.rope_theta;
  config.rope_scaling = settings.rope_scaling;
  return config;
}

cli::FlagValues model_settings(const model::ModelConfig& config) {
  const auto text = [](auto value) { return fmt::format("{}", value); };
  const bool is_mlp = config.family == model::Family::mlp;
  cli::FlagValues dimensions = {{"family", std::string(model::name(config.family))},
                                {"dim", text(config.dim)},
                                {"hidden", text(config.hidden)},
                                {"seq", text(config.seq_len)}};
  if (is_mlp) return dimensions;
  dimensions.merge(cli::FlagValues{{"layers", text(config.layers)},
                                   {"heads", text(config.heads)},
                                   {"kv-heads", text(config.kv_heads)},
                                   {"head-dim", text(config.head_dim)},
                                   {"vocab", text(config.vocab)},
                                   {"tied", config.tied_embeddings ? "true" : "false"},
                                   {"rope-theta", text(config.rope_theta)},
                                   {"rope-scaling", cli::scaling_text(config.rope_scaling)},
                                   {"norm-eps", text(config.norm_eps)}});
  return dimensions;
}

void adopt_model_file(cli::LoadedSettings& loaded) {
  if (loaded.values.model.empty()) return;
  const auto adopt_all = [&](const model::ModelConfig& config, const std::string& file) {
    for (const auto& [name, value] : model_settings(config)) adopt(name, value, file, loaded);
  };
  if (loaded.values.resume == cli::ResumeChoice::always) {
    const std::string& directory = loaded.values.checkpoint_dir;
    if (const auto recorded = train::recorded_identity(directory)) return adopt_all(recorded->model, directory);
  }
  const ModelSource source = open_model(loaded.values.model);
  loaded.values.model = source.file.string();
  if (source.config) {
    const bool shortens = source.is_hugging_face && !loaded.given("seq");
    adopt_all(*source.config, source.config_place);
    // Models are published with the longest sequence that they support, which few want to train with.
    if (shortens) loaded.values.seq = std::min(loaded.values.seq, kDefaultSequence);
  }
  // Before anything of that size is allocated.
  if (source.tensors) expect_parameters(source, layout_of(loaded));
}

model::KernelOptions kernel_options(const cli::Settings& settings, model::WeightMode weights) {
  model::KernelOptions options(settings.precision, weights, settings.plan, settings.rope);
  if (settings.packing == cli::PackingChoice::channels) options.packing = model::Packing::channels;
  if (!settings.lora.empty()) options.adapter = adapter_of(settings, model::parameter_layout(model_config(settings)));
  return options;
}

model::KernelPlan make_plan(const cli::Settings& settings, model::WeightMode weights) {
  return model::kernel_plan(model_config(settings), kernel_options(settings, weights));
}

std::unique_ptr<model::Model> make_model(const cli::Settings& settings, const model::ModelContext& context) {
  assert(settings.weights != cli::WeightsChoice::automatic);
  const auto weights =
      settings.weights == cli::WeightsChoice::dynamic ? model::WeightMode::dynamic : model::WeightMode::baked;
  return model::make_model(model_config(settings), kernel_options(settings, weights), context);
}

void fill_parameters(const cli::Settings& settings, const model::Model& model, std::span<float> parameters) {
  const model::ParameterLayout all = model::parameter_layout(model.config());
  if (!settings.lora_from.empty()) {
    model::read_all(*model::open_adapter(settings.lora_from, all).reader, model.parameters(), parameters);
  } else if (settings.model.empty() || !settings.lora.empty()) {
    model.initialize(parameters, static_cast<std::uint64_t>(settings.seed));
  } else {
    const ModelSource source = open_model(settings.model);
    model::read_all(*open_parameters(source, all), model.parameters(), parameters);
  }
}

train::TrainOptions train_options(const cli::Settings& settings) {
  train::TrainOptions options;
  options.steps = settings.steps > 0 ? settings.steps : train::kUnlimitedSteps;
  options.max_minutes = settings.max_minutes;
  options.accum_steps = settings.accum_steps;
  options.refresh_mode = settings.pipeline ? train::RefreshMode::pipeline : train::RefreshMode::compile;
  options.optimizer = settings.optimizer;
  options.validate_every = settings.val_every;
  options.validation_samples = settings.val_samples;
  options.sample_every = settings.sample_every;
  options.checkpoint_every = settings.checkpoint_every;
  options.checkpoint_minutes = settings.checkpoint_minutes;
  options.keep_checkpoints = settings.keep_checkpoints;
  options.keep_best = settings.keep_best;
  options.settings = cli::freeze(settings);
  // fp32 kernels do not underflow, so they need no loss scale.
  const bool dynamic = settings.loss_scale == 0 && settings.precision == mil::DType::fp16;
  options.loss_scale.dynamic = dynamic;
  options.loss_scale.give_up_after = settings.give_up_after;
  options.loss_scale.initial = dynamic                    ? train::LossScaleOptions{}.initial
                               : settings.loss_scale == 0 ? 1
                                                          : settings.loss_scale;
  if (!settings.checkpoint_dir.empty()) options.checkpoint_dir = settings.checkpoint_dir;
  return options;
}

}  // namespace ane::app
