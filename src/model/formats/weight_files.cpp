#include "ane/model/weight_files.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"

#include "formats/meta_format.h"

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

namespace {

/// The names of the layout's tensors in a file: Hugging Face's, or Meta's if the file has those.
class NamesIn {
 public:
  NamesIn(const ModelTensors& tensors, const ParameterLayout& layout)
      : meta_(std::ranges::any_of(layout.parameters(), [&](const Parameter& parameter) {
          return !parameter.meta_name.empty() && tensors.files().contains(parameter.meta_name);
        })) {}
  [[nodiscard]] const std::string& operator()(const Parameter& parameter) const {
    return meta_ && !parameter.meta_name.empty() ? parameter.meta_name : parameter.name;
  }
  [[nodiscard]] bool are_meta() const noexcept { return meta_; }

 private:
  bool meta_;
};

/// Tensors in models of Hugging Face that follow from others: tables of RoPE, and a classifier that is the embedding.
bool is_redundant(std::string_view name, const ParameterLayout& layout) {
  return name.ends_with("rotary_emb.inv_freq") || (name == "lm_head.weight" && layout.find(name) == nullptr);
}

}  // namespace

void expect_tensors(const ModelTensors& tensors, const ParameterLayout& layout) {
  const NamesIn name(tensors, layout);
  std::set<std::string_view> expected;
  for (const Parameter& parameter : layout.parameters()) {
    tensors.file_of(name(parameter)).expect(name(parameter), parameter.shape);
    expected.insert(name(parameter));
  }
  for (const auto& [found, file] : tensors.files())
    if (!expected.contains(found) && !is_redundant(found, layout))
      throw FileError(fmt::format("{}: tensor '{}' {} is not part of this model; does the file belong to another?",
                                  file->path().string(), found,
                                  mil::to_string(file->tensors().find(found)->second.shape)));
}

namespace {

class TensorsReader final : public ParameterReader {
 public:
  TensorsReader(const ModelTensors& tensors, const ParameterLayout& layout)
      : tensors_(&tensors), name_(tensors, layout) {}

  void read(const Parameter& parameter, std::span<float> values) const override {
    tensors_->file_of(name_(parameter)).read(name_(parameter), parameter.shape, values);
    if (name_.are_meta()) reorder_rows_of_meta(parameter, values);
  }
  void read_rows(const Parameter& parameter, std::size_t first, std::span<float> values) const override {
    assert(parameter.rotated_rows == 0);
    tensors_->file_of(name_(parameter)).read_rows(name_(parameter), parameter.shape, first, values);
  }
  std::string dtype(const Parameter& parameter) const override {
    return tensors_->file_of(name_(parameter)).expect(name_(parameter), parameter.shape).dtype;
  }

 private:
  const ModelTensors* tensors_;
  NamesIn name_;
};

}  // namespace

void ParameterReader::read_rows(const Parameter& parameter, std::size_t first, std::span<float> values) const {
  const auto columns = static_cast<std::size_t>(parameter.shape.at(1));
  std::vector<float> all(parameter.count);
  read(parameter, all);
  std::ranges::copy(std::span(all).subspan(first * columns, values.size()), values.begin());
}

std::unique_ptr<ParameterReader> open_tensors(const ModelTensors& tensors, const ParameterLayout& layout) {
  expect_tensors(tensors, layout);
  return std::make_unique<TensorsReader>(tensors, layout);
}

namespace {

class ArrayReader final : public ParameterReader {
 public:
  ArrayReader(std::span<const float> parameters, const ParameterLayout& layout)
      : parameters_(parameters), layout_(&layout) {}

  void read(const Parameter& parameter, std::span<float> values) const override {
    std::ranges::copy(slice(parameters_, *layout_->find(parameter.name)), values.begin());
  }
  std::string dtype(const Parameter& /*parameter*/) const override { return "F32"; }

 private:
  std::span<const float> parameters_;
  const ParameterLayout* layout_;
};

}  // namespace

std::unique_ptr<ParameterReader> open_array(std::span<const float> parameters, const ParameterLayout& layout) {
  return std::make_unique<ArrayReader>(parameters, layout);
}

void read_all(const ParameterReader& reader, const ParameterLayout& layout, std::span<float> parameters) {
  for (const Parameter& parameter : layout.parameters()) reader.read(parameter, slice(parameters, parameter));
}

void read_tensors(const ModelTensors& tensors, const ParameterLayout& layout, std::span<float> values) {
  read_all(*open_tensors(tensors, layout), layout, values);
}

void read_safetensors(const std::filesystem::path& path, const ParameterLayout& layout, std::span<float> values) {
  read_tensors(ModelTensors(path), layout, values);
}

Metadata read_safetensors_metadata(const std::filesystem::path& path) { return SafetensorsFile(path).metadata(); }

}  // namespace ane::model
