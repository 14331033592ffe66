#include "ane/app/model_source.h"

#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "ane/core/error.h"
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
      if (fs::exists(given / name, ignored)) return given / name;
    if (fs::exists(given / model::kAdapterConfigFile, ignored))
      throw FileError(
          fmt::format("model '{}' is the directory of an adapter; name the model that it belongs to with "
                      "--model, and the adapter with --lora",
                      given.string()));
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
  std::error_code ignored;
  if (fs::status(path, ignored).type() == fs::file_type::not_found) return;
  source.config = model::read_config(path);
  source.config_place = path.string();
  source.is_hugging_face = true;
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

std::unique_ptr<model::ParameterReader> open_parameters(const ModelSource& source,
                                                        const model::ParameterLayout& layout) {
  return source.tensors ? model::open_tensors(*source.tensors, layout) : model::open_llama2c(source.file, layout);
}

}  // namespace ane::app
