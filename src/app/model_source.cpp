#include "ane/app/model_source.h"

#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file_names.h"
#include "ane/model/adapter.h"
#include "ane/model/weight_files.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLlama2c = ".bin";
constexpr std::string_view kSafetensors = ".safetensors";

/// Resolves a directory to its model file or index. Throws UsageError for an unsupported kind of file.
fs::path model_file(const fs::path& given) {
  std::error_code ignored;
  if (fs::is_directory(given, ignored)) {
    for (const char* name : {train::kModelFile, model::kIndexFile})
      if (is_taken(given / name)) return given / name;
    if (fs::exists(given / model::kAdapterConfigFile, ignored))
      throw FileError(
          fmt::format("model '{}' is the directory of an adapter; name the model that it belongs to with "
                      "--model, and the adapter with --lora",
                      given.string()));
    if (const std::vector<fs::path> checkpoints = train::checkpoints_in(given); !checkpoints.empty())
      throw FileError(
          fmt::format("model '{}' is a directory of checkpoints; name one of them, for example the newest: {}",
                      given.string(), checkpoints.front().string()));
    throw FileError(
        fmt::format("model '{}' is a directory without {} or {}; name a file, the directory of a model, or "
                    "a checkpoint's directory (step-NNNNNNNN)",
                    given.string(), train::kModelFile, model::kIndexFile));
  }
  const fs::path extension = given.extension();
  if (extension != kLlama2c && extension != kSafetensors && given.filename() != model::kIndexFile)
    throw UsageError(fmt::format("model '{}'{}: expected llama2.c's {}, a {} file, or a model's directory",
                                 given.string(), fs::exists(given, ignored) ? "" : " does not exist", kLlama2c,
                                 kSafetensors));
  return given;
}

/// Finds the config of a model: in the metadata and the trainer.json that ane-train writes, or in Hugging Face's
/// config.json.
void find_config(ModelSource& source) {
  source.config_place = source.file.string();
  const model::Metadata& metadata = source.tensors->metadata();
  if (const auto config = metadata.find(model::kConfigKey); config != metadata.end()) {
    source.config = model::config_from_json(config->second, source.config_place);
    return;
  }
  source.config = train::recorded_model_of(source.file);
  if (source.config) return;
  const fs::path path = source.file.parent_path() / model::kConfigFile;
  if (!is_taken(path)) return;
  source.config = model::read_config(path);
  source.config_place = path.string();
  source.is_hugging_face = true;
}

/// What says which tensors a model has.
std::string source_of_dimensions(const ModelSource& source) {
  if (!source.config)
    return fmt::format(
        "there is no {} beside it, so the settings describe the model (--dim, --hidden, --layers, --heads, --vocab, "
        "...)",
        model::kConfigFile);
  const bool is_same_file = source.config_place == source.file.string();
  return fmt::format("the model is described by {}", is_same_file ? "its metadata" : source.config_place);
}

}  // namespace

ModelSource open_model(const fs::path& path) {
  ModelSource source{.file = model_file(path), .tensors = {}, .config = {}, .config_place = {}};
  if (source.file.extension() == kLlama2c) {
    source.config = model::read_llama2c_config(source.file);
    source.config_place = source.file.string();
  } else {
    source.tensors.emplace(source.file);
    find_config(source);
  }
  return source;
}

model::Companions companions_of(const ModelSource& source) {
  const fs::path directory = source.file.parent_path();
  return source.tensors ? model::companions_in(directory) : model::llama2c_companions_in(directory);
}

void expect_parameters(const ModelSource& source, const model::ParameterLayout& layout) try {
  if (source.tensors) model::expect_tensors(*source.tensors, layout);
} catch (const FileError& error) {
  throw FileError(fmt::format("{}; {}", error.what(), source_of_dimensions(source)));
}

std::unique_ptr<model::ParameterReader> open_parameters(const ModelSource& source,
                                                        const model::ParameterLayout& layout) {
  expect_parameters(source, layout);
  return source.tensors ? model::open_tensors(*source.tensors, layout) : model::open_llama2c(source.file, layout);
}

}  // namespace ane::app
