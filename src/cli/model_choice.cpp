#include "ane/cli/model_choice.h"

#include <algorithm>
#include <cassert>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/mlp.h"
#include "ane/model/models.h"
#include "ane/model/safetensors.h"
#include "ane/model/weight_files.h"

namespace ane::cli {
namespace {

constexpr std::string_view kLlama2c = ".bin";
constexpr std::string_view kSafetensors = ".safetensors";
const char* const kClassifier = "output.weight";

/// A dimension that a model file has.
struct FileDimension {
  std::string name;  ///< of the setting
  std::string value;
};

std::vector<FileDimension> llama2c_dimensions(const std::filesystem::path& path) {
  const model::LlamaConfig config = model::read_llama2c_config(path);
  const auto text = [](std::size_t value) { return fmt::format("{}", value); };
  return {{"arch", "llama"},
          {"dim", text(config.dim)},
          {"hidden", text(config.hidden)},
          {"layers", text(config.layers)},
          {"heads", text(config.heads)},
          {"kv-heads", text(config.kv_heads)},
          {"vocab", text(config.vocab)},
          {"seq", text(config.seq_len)},
          {"tied", config.tied_classifier ? "true" : "false"}};
}

/// A checkpoint's metadata hold the line of dimensions, "dim=64 hidden=176 ..."; other files have nothing to adopt.
std::vector<FileDimension> safetensors_dimensions(const std::filesystem::path& path) {
  const model::SafetensorsFile file(path);
  const auto line = file.metadata().find("model");
  if (line == file.metadata().end()) return {};
  std::vector<FileDimension> dimensions;
  std::string_view rest = line->second;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    std::string name(word.substr(0, equals));
    std::replace(name.begin(), name.end(), '_', '-');
    dimensions.push_back({std::move(name), std::string(word.substr(equals + 1))});
  }
  const bool is_llama =
      std::any_of(dimensions.begin(), dimensions.end(), [](const auto& d) { return d.name == "layers"; });
  dimensions.push_back({"arch", is_llama ? "llama" : "mlp"});
  if (is_llama) dimensions.push_back({"tied", file.tensors().contains(kClassifier) ? "false" : "true"});
  return dimensions;
}

/// Heads of keys and values written out, so that "as many as heads" compares with a number.
std::string shown(const Setting& row, const Settings& values) {
  if (row.name == "kv-heads" && values.kv_heads == 0) return fmt::format("{}", values.heads);
  return row.show(values);
}

void adopt(const FileDimension& dimension, LoadedSettings& loaded) {
  const std::span<const Setting> rows = settings_table();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Setting& r) { return r.name == dimension.name; });
  const std::string& file = loaded.values.model;
  Settings adopted = loaded.values;
  if (row == rows.end() || !row->assign(dimension.value, adopted)) {
    throw FileError(
        fmt::format("{}: its {} is '{}', which this program cannot use", file, dimension.name, dimension.value));
  }
  if (loaded.given(row->name)) {
    const std::string given = shown(*row, loaded.values);
    const bool shorter = row->name == "seq" && loaded.values.seq < adopted.seq;
    if (given == dimension.value || shorter) return;
    throw UsageError(fmt::format("{} is {} ({}), but {} has {}; leave it out to use the model's", row->key(), given,
                                 loaded.origin(row->name).place, file, dimension.value));
  }
  loaded.values = adopted;
  loaded.provenance[std::string(row->name)] = {Origin::model_file, fmt::format("model {}", file)};
}

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

model::LlamaConfig llama_config(const Settings& settings) {
  return {.dim = size(settings.dim),
          .hidden = size(settings.hidden),
          .layers = size(settings.layers),
          .heads = size(settings.heads),
          .kv_heads = size(settings.kv_heads == 0 ? settings.heads : settings.kv_heads),
          .vocab = size(settings.vocab),
          .seq_len = size(settings.seq),
          .tied_classifier = settings.tied};
}

model::MlpConfig mlp_config(const Settings& settings) {
  return {.dim = size(settings.dim), .hidden = size(settings.hidden), .seq_len = size(settings.seq)};
}

}  // namespace

void adopt_model_file(LoadedSettings& loaded) {
  const std::string& file = loaded.values.model;
  if (file.empty()) return;
  const std::filesystem::path path(file);
  if (path.extension() != kLlama2c && path.extension() != kSafetensors) {
    throw UsageError(fmt::format("model '{}': expected llama2.c's {} or {}", file, kLlama2c, kSafetensors));
  }
  for (const FileDimension& dimension :
       path.extension() == kLlama2c ? llama2c_dimensions(path) : safetensors_dimensions(path)) {
    adopt(dimension, loaded);
  }
}

model::KernelPlan make_plan(const Settings& settings, model::WeightMode weights) {
  const model::KernelForm form(settings.precision, weights, settings.plan);
  if (settings.arch == Architecture::mlp) {
    const model::MlpConfig config = mlp_config(settings);
    model::check(config);
    return model::mlp_plan(config, form);
  }
  const model::LlamaConfig config = llama_config(settings);
  model::check(config);
  return model::llama_plan(config, form);
}

std::unique_ptr<model::Model> make_model(const Settings& settings, const model::Engine& engine) {
  assert(settings.weights != WeightsChoice::automatic);
  const model::KernelForm form(
      settings.precision,
      settings.weights == WeightsChoice::dynamic ? model::WeightMode::dynamic : model::WeightMode::baked,
      settings.plan);
  if (settings.arch == Architecture::mlp) {
    const model::MlpConfig config = mlp_config(settings);
    model::check(config);
    return model::make_mlp(config, form, engine);
  }
  const model::LlamaConfig config = llama_config(settings);
  model::check(config);
  return model::make_llama(config, form, engine);
}

void fill_parameters(const Settings& settings, const model::Model& model, std::span<float> parameters) {
  if (settings.model.empty()) {
    model.initialize(parameters, static_cast<std::uint64_t>(settings.seed));
  } else if (std::filesystem::path(settings.model).extension() == kLlama2c) {
    model::read_llama2c(settings.model, model.parameters(), parameters);
  } else {
    model::read_safetensors(settings.model, model.parameters(), parameters);
  }
}

std::unique_ptr<data::Source> make_source(const Settings& settings, bool scan) {
  const auto seed = static_cast<std::uint64_t>(settings.seed);
  if (settings.arch == Architecture::mlp) {
    return data::make_teacher_source(size(settings.dim), size(settings.hidden), size(settings.seq), seed);
  }
  const data::TokenSettings tokens{.seq_len = size(settings.seq),
                                   .vocab_size = size(settings.vocab),
                                   .seed = seed,
                                   .order = settings.data_order,
                                   .scan = scan};
  return settings.data == "synthetic" ? data::make_markov_source(tokens) : data::open_token_file(settings.data, tokens);
}

train::TrainOptions train_options(const Settings& settings) {
  train::TrainOptions options;
  options.steps = settings.steps;
  options.accum_steps = settings.accum_steps;
  options.renewal = settings.pipeline ? train::Renewal::pipeline : train::Renewal::compile;
  options.optimizer = {.kind = settings.optimizer,
                       .lr = settings.lr,
                       .min_lr = settings.min_lr,
                       .warmup = settings.warmup,
                       .schedule = settings.schedule,
                       .beta1 = settings.beta1,
                       .beta2 = settings.beta2,
                       .eps = settings.eps,
                       .weight_decay = settings.weight_decay,
                       .grad_clip = settings.grad_clip};
  options.validate_every = settings.val_every;
  options.validation_samples = settings.val_samples;
  options.checkpoint_every = settings.checkpoint_every;
  options.checkpoint_minutes = settings.checkpoint_minutes;
  options.keep_checkpoints = settings.keep_checkpoints;
  options.settings = freeze(settings);
  // fp32 kernels lose nothing that a scale could save.
  const bool dynamic = settings.loss_scale == 0 && settings.precision == mil::DType::fp16;
  options.loss_scale.dynamic = dynamic;
  options.loss_scale.give_up_after = settings.give_up_after;
  options.loss_scale.initial = dynamic                    ? train::LossScaleOptions{}.initial
                               : settings.loss_scale == 0 ? 1
                                                          : settings.loss_scale;
  if (!settings.checkpoint_dir.empty()) options.checkpoint_dir = settings.checkpoint_dir;
  return options;
}

}  // namespace ane::cli
