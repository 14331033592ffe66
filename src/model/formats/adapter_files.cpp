#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/adapter.h"
#include "ane/model/safetensors.h"

#include "formats/adapter_config.h"
#include "formats/module_names.h"

namespace ane::model {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostAdapterConfigBytes = std::uint64_t{1} << 20U;  // like read_config()
constexpr std::string_view kMlxA = ".lora_a";
constexpr std::string_view kMlxB = ".lora_b";

const char* weights_file(AdapterFormat format) {
  return format == AdapterFormat::peft ? kAdapterFile : kMlxAdapterFile;
}

/// A tensor of the layout in a file of this format. In MLX's, the matrices are transposed.
std::string stored_name(AdapterFormat format, const Parameter& parameter) {
  if (format == AdapterFormat::peft) return peft_name(parameter);
  const std::string_view suffix = parameter.name.ends_with(kLoraA) ? kMlxA : kMlxB;
  const std::string_view name = parameter.name;
  return fmt::format("{}{}", name.substr(0, name.size() - std::string_view(kLoraA).size()), suffix);
}
mil::Shape stored_shape(AdapterFormat format, const Parameter& parameter) {
  mil::Shape shape = parameter.shape;
  if (format == AdapterFormat::mlx) std::ranges::reverse(shape);
  return shape;
}

/// The transpose of `values` [rows, columns].
std::vector<float> transposed(std::span<const float> values, std::size_t rows, std::size_t columns) {
  std::vector<float> result(values.size());
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      result[column * rows + row] = values[row * columns + column];
  return result;
}

class AdapterReader final : public ParameterReader {
 public:
  AdapterReader(SafetensorsFile file, AdapterFormat format) : file_(std::move(file)), format_(format) {}

  void read(const Parameter& parameter, std::span<float> values) const override {
    const mil::Shape shape = stored_shape(format_, parameter);
    file_.read(stored_name(format_, parameter), shape, values);
    if (format_ == AdapterFormat::peft) return;
    std::ranges::copy(transposed(values, static_cast<std::size_t>(shape[0]), static_cast<std::size_t>(shape[1])),
                      values.begin());
  }
  [[nodiscard]] std::string dtype(const Parameter& parameter) const override {
    return file_.expect(stored_name(format_, parameter), stored_shape(format_, parameter)).dtype;
  }

 private:
  SafetensorsFile file_;
  AdapterFormat format_;
};

SafetensorsFile open_weights(const fs::path& directory, AdapterFormat format) {
  const fs::path path = directory / weights_file(format);
  std::error_code ignored;
  if (format == AdapterFormat::peft && !fs::exists(path, ignored) &&
      fs::exists(directory / "adapter_model.bin", ignored))
    throw_file_error(directory,
                     fmt::format("it has adapter_model.bin, but only {} is read; save the adapter with PEFT as "
                                 "safetensors",
                                 kAdapterFile));
  return SafetensorsFile(path);
}

JsonObject read_adapter_config(const fs::path& directory) {
  std::error_code ignored;
  if (fs::exists(directory, ignored) && !fs::is_directory(directory, ignored))
    throw_file_error(directory, fmt::format("expected the directory of an adapter, with {}", kAdapterConfigFile));
  const fs::path path = directory / kAdapterConfigFile;
  return JsonObject::parse(whole_text(RegularFile(path, "adapter config"), kMostAdapterConfigBytes), path.string());
}

/// The modules for which MLX's file has a matrix.
std::set<std::string, std::less<>> modules_in(const SafetensorsFile& file) {
  std::set<std::string, std::less<>> modules;
  for (const auto& [name, tensor] : file.tensors())
    if (name.ends_with(kMlxA)) modules.insert(name.substr(0, name.size() - kMlxA.size()));
  return modules;
}

/// Throws FileError unless the file has exactly the adapter's tensors.
void expect_adapter_tensors(const SafetensorsFile& file, const AdapterSource& source) {
  std::set<std::string, std::less<>> expected;
  for (const Parameter& parameter : source.layout.parameters()) {
    std::string name = stored_name(source.format, parameter);
    const mil::Shape shape = stored_shape(source.format, parameter);
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end())
      throw_file_error(file.path(),
                       fmt::format("there is no tensor '{}', which {} requires; does the adapter belong to "
                                   "another model?",
                                   name, kAdapterConfigFile));
    if (found->second.shape != shape)
      throw_file_error(file.path(),
                       fmt::format("tensor '{}' has shape {}, but this model and the rank {} in {} need {}; does the "
                                   "adapter belong to another model?",
                                   name, mil::to_string(found->second.shape), source.adapter.rank, kAdapterConfigFile,
                                   mil::to_string(shape)));
    expected.insert(std::move(name));
  }
  for (const auto& [name, tensor] : file.tensors())
    if (!expected.contains(name))
      throw_file_error(file.path(), fmt::format("tensor '{}' {} is not part of the adapter of this model that {} "
                                                "describes",
                                                name, mil::to_string(tensor.shape), kAdapterConfigFile));
}

std::string dtype_in(const AdapterOutput& output, const ParameterReader& reader, const Parameter& parameter) {
  return output.dtype.empty() ? reader.dtype(parameter) : output.dtype;
}

}  // namespace

AdapterSource open_adapter(const fs::path& directory, const ParameterLayout& base) {
  const JsonObject json = read_adapter_config(directory);
  AdapterSource source;
  source.directory = directory;
  source.format = json.has("peft_type") ? AdapterFormat::peft : AdapterFormat::mlx;
  const bool is_peft = source.format == AdapterFormat::peft;
  std::optional<SafetensorsFile> file;
  if (!is_peft) file.emplace(open_weights(directory, source.format));
  AdapterConfig config = is_peft ? parse_peft_config(json, base) : parse_mlx_config(json, base, modules_in(*file));
  source.adapter = std::move(config.adapter);
  source.base_model = std::move(config.base_model);
  source.notes = std::move(config.notes);
  try {
    source.layout = adapter_parameters(source.adapter, base);
  } catch (const UsageError& error) {
    throw FileError(fmt::format("{}: {}", json.place(), error.what()));
  }
  if (!std::isfinite(static_cast<float>(source.adapter.scale())))
    throw FileError(
        fmt::format("{}: the scale of the adapter is {}, which is too large", json.place(), source.adapter.scale()));
  if (!file) file.emplace(open_weights(directory, source.format));
  expect_adapter_tensors(*file, source);
  source.reader = std::make_unique<AdapterReader>(*std::move(file), source.format);
  return source;
}

std::string peft_name(const Parameter& parameter) { return "base_model.model." + parameter.name; }

std::uint64_t adapter_bytes(const AdapterSource& source, const AdapterOutput& output) {
  std::uint64_t bytes = 0;
  for (const Parameter& parameter : source.layout.parameters())
    bytes += parameter.count * (dtype_in(output, *source.reader, parameter) == "F32" ? 4 : 2);
  return bytes;
}

void write_adapter(const fs::path& directory, const AdapterOutput& output, const Adapter& adapter,
                   const ParameterLayout& layout, const ParameterReader& reader, const ParameterLayout& base) {
  const bool is_peft = output.format == AdapterFormat::peft;
  std::vector<TensorEntry> entries;
  for (const Parameter& parameter : layout.parameters())
    entries.push_back({stored_name(output.format, parameter), stored_shape(output.format, parameter),
                       dtype_in(output, reader, parameter)});
  TemporaryFile file(directory / weights_file(output.format));
  SafetensorsWriter writer(file, std::move(entries), {{"format", is_peft ? "pt" : "mlx"}});
  std::vector<float> values;
  for (const Parameter& parameter : layout.parameters()) {
    values.resize(parameter.count);
    reader.read(parameter, values);
    if (!is_peft)
      values = transposed(values, static_cast<std::size_t>(parameter.shape[0]),
                          static_cast<std::size_t>(parameter.shape[1]));
    writer.add(values);
  }
  file.commit();
  const std::string config =
      is_peft ? peft_config_text(adapter, base, output.base_model) : mlx_config_text(adapter, base, output.base_model);
  write_file_atomically(directory / kAdapterConfigFile, std::as_bytes(std::span(config)));
}

}  // namespace ane::model
