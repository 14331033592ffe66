#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "ane/model/config.h"
#include "ane/model/model_tensors.h"
#include "ane/model/parameter_reader.h"
#include "ane/model/parameters.h"
#include "ane/model/safetensors.h"

namespace ane::model {

/// Reads the configuration from the header of a llama2.c `.bin` file and checks it and the file's size. seq_len is the
/// file's max_seq_len. Throws FileError naming the field, value and range.
[[nodiscard]] ModelConfig read_llama2c_config(const std::filesystem::path& path);

/// Reads the file's weights into `parameters` (with the layout llama_parameters of its config). Throws FileError, also
/// for non-finite values.
void read_llama2c(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> parameters);

/// Why llama2.c's format, or its program, which assumes the base and epsilon of the first Llama and has no biases,
/// cannot represent a model with this config and layout: "rope_theta is 500000, but llama2.c's program assumes 10000".
/// nullopt if they can.
[[nodiscard]] std::optional<std::string> obstacle_to_llama2c(const ModelConfig& config, const ParameterLayout& layout);
/// Size of the llama2.c file of such a model.
[[nodiscard]] std::uint64_t llama2c_bytes(const ModelConfig& config, const ParameterLayout& layout);
/// Writes a model to which there is no obstacle as llama2.c's first format. The caller commits the file. Only one
/// tensor is in memory at a time. Throws FileError.
void write_llama2c(TemporaryFile& file, const ModelConfig& config, const ParameterLayout& layout,
                   const ParameterReader& reader);

/// Atomically writes fp32 tensors and string metadata to `path` as safetensors. Throws FileError.
void write_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<const float> values,
                       const Metadata& metadata);
/// Writes to a file that the caller commits.
void write_safetensors(TemporaryFile& file, const ParameterLayout& layout, std::span<const float> values,
                       const Metadata& metadata);

/// Throws FileError unless the model has exactly the tensors of the layout with their shapes, either all under
/// Hugging Face's names or all under Meta's, which checkpoints up to version 3 have. Tensors that follow from others
/// (tables of RoPE, a tied classifier) may be present and are ignored.
void expect_tensors(const ModelTensors& tensors, const ParameterLayout& layout);

/// Reads F32, F16 or BF16 tensors by name into `values`, one after the other, after expect_tensors(). Throws FileError
/// naming the tensor.
void read_tensors(const ModelTensors& tensors, const ParameterLayout& layout, std::span<float> values);
/// The same for a single file.
void read_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> values);
[[nodiscard]] Metadata read_safetensors_metadata(const std::filesystem::path& path);

}  // namespace ane::model
