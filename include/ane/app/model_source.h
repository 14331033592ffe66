#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "ane/model/companions.h"
#include "ane/model/config.h"
#include "ane/model/model_tensors.h"
#include "ane/model/parameter_reader.h"

namespace ane::app {

/// A model that `--model` names: its file, and what is known about it besides the tensors.
struct ModelSource {
  std::filesystem::path file;                  ///< llama2.c's .bin, a .safetensors file, or an index of shards
  std::optional<model::ModelTensors> tensors;  ///< none in llama2.c's format
  std::optional<model::ModelConfig> config;    ///< none if only the settings describe the model
  std::string config_place;                    ///< the file that contains the config
  bool is_hugging_face = false;                ///< whether that is a config.json not written by ane-train
};

/// Opens the model at `path`: a Hugging Face directory, a checkpoint's directory, a .safetensors file or llama2.c's
/// .bin. Throws FileError for a file that cannot be read or is not valid, UsageError for an unsupported kind of file.
[[nodiscard]] ModelSource open_model(const std::filesystem::path& path);

/// The model's tokenizer and config.json; none in llama2.c's format. Throws FileError.
[[nodiscard]] model::Companions companions_of(const ModelSource& source);

/// Throws FileError unless the model's tensors are the parameters of `layout`.
void expect_parameters(const ModelSource& source, const model::ParameterLayout& layout);

/// Reads the parameters of the model, which must be those of `layout`. `source` must outlive the reader. Throws
/// FileError.
[[nodiscard]] std::unique_ptr<model::ParameterReader> open_parameters(const ModelSource& source,
                                                                      const model::ParameterLayout& layout);

}  // namespace ane::app
