#pragma once

#include <filesystem>
#include <span>

#include "ane/model/llama_config.h"
#include "ane/model/parameters.h"
#include "ane/model/safetensors.h"

namespace ane::model {

/// The configuration in a llama2.c `.bin` file's header, after checking it and the file's size against it. seq_len is
/// the file's max_seq_len. Throws FileError: which field, value and range.
[[nodiscard]] LlamaConfig read_llama2c_config(const std::filesystem::path& path);

/// Reads the file's weights into `parameters` (laid out by llama_parameters of its own config). Throws FileError, also
/// for a value that is not finite.
void read_llama2c(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> parameters);

/// Writes fp32 tensors and string metadata to `path` as safetensors, aside and renamed. Throws FileError.
void write_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<const float> values,
                       const Metadata& metadata);
/// The same to a file that the caller commits.
void write_safetensors(AsideFile& file, const ParameterLayout& layout, std::span<const float> values,
                       const Metadata& metadata);

/// Throws FileError unless the file holds every tensor of the layout, in its shape, and no other.
void expect_tensors(const SafetensorsFile& file, const ParameterLayout& layout);

/// Reads F32 (or F16, BF16) tensors by name into `values`. Every tensor of the layout must be there with its shape and
/// no other; header length, offsets, sizes, overlaps and the file's end are checked first. Throws FileError naming the
/// tensor.
void read_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> values);
[[nodiscard]] Metadata read_safetensors_metadata(const std::filesystem::path& path);

}  // namespace ane::model
