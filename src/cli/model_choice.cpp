#include "ane/cli/model_choice.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/mlp.h"
#include "ane/model/models.h"
#include "ane/model/safetensors.h"
#include "ane/model/weight_files.h"
#include "ane/train/checkpoint.h"

namespace ane::cli {
namespace {

constexpr std::string_view kLlama2c = ".bin";
constexpr std::string_view kSafetensors = ".safetensors";
const char* const kClassifier = "output.weight";

/// A dimension of the model, read from its file.
struct FileDimension {
  std::string name;  ///< of the setting
  std::string value;
};

/// The settings that the metadata of a safetensors file may set. Files are untrusted: they must never name a path or
/// change how a run behaves.
constexpr std::array<std::string_view, 7> kDimensions = {"dim",      "hidden", "layers", "heads",
                                                         "kv-heads", "vocab",  "seq"};

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

/// Parses the dimensions line of a checkpoint's metadata, "dim=64 hidden=176 ...". Throws FileError for an invalid or
/// repeated word.
std::vector<FileDimension> parse_dimensions(const std::filesystem::path& path, std::string_view line) {
  std::vector<FileDimension> dimensions;
  while (!line.empty()) {
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(word.size() + 1, line.size()));
    const std::string_view key = word.substr(0, word.find('='));
    const std::string_view value = word.substr(std::min(key.size() + 1, word.size()));
    const auto* const name = std::find_if(kDimensions.begin(), kDimensions.end(),
                                          [&](std::string_view each) { return setting(each).key() == key; });
    const bool is_there = std::any_of(dimensions.begin(), dimensions.end(),
                                      [&](const FileDimension& each) { return setting(each.name).key() == key; });
    if (name == kDimensions.end() || is_there || !parse_integer(value)) {
      constexpr std::size_t kMostShown = 80;
      throw FileError(fmt::format("{}: its metadata describe the model with '{}'; expected {}, each once, as NAME=N",
                                  path.string(), word.substr(0, kMostShown), fmt::join(kDimensions, ", ")));
    }
    dimensions.push_back({std::string(*name), std::string(value)});
  }
  return dimensions;
}

/// The model's dimensions from the file's metadata; empty if ane-train did not write the file, so that the settings
/// must provide all.
std::vector<FileDimension> safetensors_dimensions(const model::SafetensorsFile& file) {
  constexpr std::string_view kStart = "dim=";
  const auto line = file.metadata().find("model");
  if (line == file.metadata().end() || !line->second.starts_with(kStart)) return {};
  std::vector<FileDimension> dimensions = parse_dimensions(file.path(), line->second);
  const bool is_llama =
      std::any_of(dimensions.begin(), dimensions.end(), [](const auto& d) { return d.name == "layers"; });
  dimensions.push_back({"arch", is_llama ? "llama" : "mlp"});
  if (is_llama) dimensions.push_back({"tied", file.tensors().contains(kClassifier) ? "false" : "true"});
  return dimensions;
}

/// Resolves the default of kv-heads (equal to heads), so that it can be compared with a number.
std::string shown(const Setting& row, const Settings& values) {
  if (row.name == "kv-heads" && values.kv_heads == 0) return fmt::format("{}", values.heads);
  return row.show(values);
}

/// The dimensions of the run that is resumed, whose model file may no longer exist.
std::vector<FileDimension> checkpoint_dimensions(const train::SettingTexts& recorded) {
  std::vector<FileDimension> dimensions;
  Settings saved;
  for (const char* name : {"arch", "dim", "hidden", "layers", "heads", "kv-heads", "vocab", "seq", "tied"}) {
    const Setting& row = setting(name);
    // The default may not be a valid value.
    if (const auto text = recorded.find(name); text != recorded.end() && text->second != row.show(saved))
      static_cast<void>(row.assign(text->second, saved));
    dimensions.push_back({name, shown(row, saved)});
  }
  return dimensions;
}

/// `file`: the source of the dimension.
void adopt(const FileDimension& dimension, const std::string& file, LoadedSettings& loaded) {
  const std::span<const Setting> rows = settings_table();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Setting& r) { return r.name == dimension.name; });
  Settings adopted = loaded.values;
  if (row == rows.end() || !row->assign(dimension.value, adopted)) {
    throw FileError(fmt::format("{}: its {} is '{}', which is not supported", file, dimension.name, dimension.value));
  }
  if (loaded.given(row->name)) {
    const std::string given = shown(*row, loaded.values);
    const bool shorter = row->name == "seq" && loaded.values.seq < adopted.seq;
    if (given == dimension.value || shorter) return;
    throw UsageError(fmt::format("{} is {} ({}), but {} has {}; omit it to use the model's", row->key(), given,
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

/// Resolves a checkpoint directory to its model file. Throws UsageError for an unsupported kind of file.
std::filesystem::path model_file(const std::filesystem::path& given) {
  std::error_code ignored;
  const bool is_checkpoint = std::filesystem::is_directory(given, ignored);
  const std::filesystem::path path = is_checkpoint ? given / train::kModelFile : given;
  if (is_checkpoint && !std::filesystem::exists(path, ignored))
    throw FileError(
        fmt::format("model '{}' is a directory without {}; name a file, or a checkpoint's directory (step-NNNNNNNN)",
                    given.string(), train::kModelFile));
  if (path.extension() != kLlama2c && path.extension() != kSafetensors)
    throw UsageError(fmt::format("model '{}': expected llama2.c's {} or {}, or a checkpoint's directory",
                                 given.string(), kLlama2c, kSafetensors));
  return path;
}

/// The parameters of the model that the settings describe. Invalid dimensions come from the file, hence FileError.
model::ParameterLayout parameters_of(const LoadedSettings& loaded) try {
  return loaded.values.arch == Architecture::mlp ? model::mlp_parameters(mlp_config(loaded.values))
                                                 : model::llama_parameters(llama_config(loaded.values));
} catch (const UsageError& error) {
  if (loaded.origin("arch").origin != Origin::model_file) throw;
  throw FileError(fmt::format("{}: its dimensions are invalid: {}", loaded.values.model, error.what()));
}

}  // namespace

void adopt_model_file(LoadedSettings& loaded) {
  if (loaded.values.model.empty()) return;
  if (loaded.values.resume) {
    const std::string& directory = loaded.values.checkpoint_dir;
    if (const std::optional<train::SettingTexts> recorded = train::recorded_settings(directory)) {
      for (const FileDimension& dimension : checkpoint_dimensions(*recorded)) adopt(dimension, directory, loaded);
      return;
    }
  }
  const std::filesystem::path path = model_file(loaded.values.model);
  loaded.values.model = path.string();
  const std::string& file_name = loaded.values.model;
  if (path.extension() == kLlama2c) {
    for (const FileDimension& dimension : llama2c_dimensions(path)) adopt(dimension, file_name, loaded);
    return;
  }
  const model::SafetensorsFile file(path);
  for (const FileDimension& dimension : safetensors_dimensions(file)) adopt(dimension, file_name, loaded);
  // Before anything of that size is allocated.
  model::expect_tensors(file, parameters_of(loaded));
}

model::KernelPlan make_plan(const Settings& settings, model::WeightMode weights) {
  const model::KernelForm form(settings.precision, weights, settings.plan, settings.rope);
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
      settings.weights == WeightsChoice::dynamic ? model::WeightMode::dynamic : model::WeightMode::baked, settings.plan,
      settings.rope);
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

}  // namespace ane::cli
