#include "ane/model/weight_files.h"

#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"

namespace ane::model {

void write_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<const float> values,
                       const Metadata& metadata) {
  TemporaryFile file(path);
  write_safetensors(file, layout, values, metadata);
  file.commit();
  sync_directory(path.parent_path());
}

void write_safetensors(TemporaryFile& file, const ParameterLayout& layout, std::span<const float> values,
                       const Metadata& metadata) {
  std::vector<NamedTensor> tensors;
  tensors.reserve(layout.parameters().size());
  for (const Parameter& parameter : layout.parameters())
    tensors.push_back({parameter.name, parameter.shape, slice(values, parameter)});
  write_safetensors(file, tensors, metadata);
}

void expect_tensors(const SafetensorsFile& file, const ParameterLayout& layout) {
  for (const Parameter& parameter : layout.parameters()) file.expect(parameter.name, parameter.shape);
  for (const auto& [name, tensor] : file.tensors())
    if (layout.find(name) == nullptr)
      throw FileError(fmt::format("{}: tensor '{}' {} is not part of this model; does the file belong to another?",
                                  file.path().string(), name, mil::to_string(tensor.shape)));
}

void read_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> values) {
  const SafetensorsFile file(path);
  expect_tensors(file, layout);
  for (const Parameter& parameter : layout.parameters())
    file.read(parameter.name, parameter.shape, slice(values, parameter));
}

Metadata read_safetensors_metadata(const std::filesystem::path& path) { return SafetensorsFile(path).metadata(); }

}  // namespace ane::model
