#include "ane/app/export_command.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/app/adapter_option.h"
#include "ane/app/model_source.h"
#include "ane/app/option_values.h"
#include "ane/app/signals.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/adapter.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHeaderRoom = std::uint64_t{4} << 20U;  // for everything besides the values

enum class ExportFormat { hugging_face, llama2c, peft, mlx };

/// A value of --format.
struct FormatName {
  std::string_view option;
  ExportFormat format;
  const char* output;
};
constexpr std::array kFormats = {FormatName{"hf", ExportFormat::hugging_face, "the directory to write"},
                                 FormatName{"llama2c", ExportFormat::llama2c, "the file to write"},
                                 FormatName{"peft", ExportFormat::peft, "the directory to write"},
                                 FormatName{"mlx", ExportFormat::mlx, "the directory to write"}};

bool is_of_adapters(ExportFormat format) { return format == ExportFormat::peft || format == ExportFormat::mlx; }

struct ExportOptions {
  std::string model;
  ExportFormat format = ExportFormat::hugging_face;
  bool merge = false;
  fs::path out;
  std::string dtype;  ///< empty: each tensor's own
};

/// What was exported.
struct Export {
  model::ModelConfig config;
  model::ParameterLayout layout;
};

/// The reader of an export that a signal may stop between two tensors.
class StoppableReader final : public model::ParameterReader {
 public:
  StoppableReader(const model::ParameterReader& reader, const StopSignals& signals)
      : reader_(&reader), signals_(&signals) {}
  void read(const model::Parameter& parameter, std::span<float> values) const override {
    signals_->check();
    reader_->read(parameter, values);
  }
  std::string dtype(const model::Parameter& parameter) const override { return reader_->dtype(parameter); }

 private:
  const model::ParameterReader* reader_;
  const StopSignals* signals_;
};

/// `dtype` as safetensors files name it; empty if it is not given.
std::string read_dtype(const OptionValues& values) {
  struct Name {
    std::string_view option;
    const char* dtype;
  };
  constexpr std::array kNames = {Name{"f32", "F32"}, Name{"bf16", "BF16"}, Name{"f16", "F16"}};
  const std::string given = values.text("dtype");
  if (given.empty()) return "";
  const auto* const found = std::ranges::find(kNames, given, &Name::option);
  if (found == kNames.end())
    throw UsageError(fmt::format("--dtype: {}", cli::wrong_value(given, "one of f32, bf16, f16")));
  return found->dtype;
}

/// Throws UsageError unless --lora and --merge make sense with the format.
void check_adapter_options(const FormatName& name, bool has_adapter, bool merge) {
  const bool is_adapter = is_of_adapters(name.format);
  if (merge && !has_adapter) throw UsageError("--merge: name the adapter with --lora DIR");
  if (is_adapter && !has_adapter)
    throw UsageError(fmt::format("--format {} writes an adapter; name it with --lora DIR", name.option));
  if (is_adapter && merge)
    throw UsageError(
        fmt::format("--merge writes a whole model, but --format {} writes an adapter; omit --merge, or use "
                    "--format hf or llama2c",
                    name.option));
  if (!is_adapter && has_adapter && !merge)
    throw UsageError(
        fmt::format("--format {} writes a whole model; add --merge to merge the adapter into it, or write "
                    "the adapter with --format peft or mlx",
                    name.option));
}

ExportOptions read_options(const OptionValues& values) {
  ExportOptions options{.model = values.required("model", "the model to export, or that an adapter belongs to"),
                        .merge = values.toggle("merge"),
                        .out = {},
                        .dtype = read_dtype(values)};
  const std::string format = values.required("format", "hf, llama2c, peft or mlx");
  const auto* const name = std::ranges::find(kFormats, format, &FormatName::option);
  if (name == kFormats.end())
    throw UsageError(fmt::format("--format: {}", cli::wrong_value(format, "one of hf, llama2c, peft, mlx")));
  options.format = name->format;
  check_adapter_options(*name, has_adapter(values), options.merge);
  if (options.format == ExportFormat::llama2c && !options.dtype.empty() && options.dtype != "F32")
    throw UsageError("--dtype: llama2.c's format has only f32; omit --dtype");
  options.out = values.required("out", name->output);
  if (!options.out.has_filename()) options.out = options.out.parent_path();  // a slash at the end
  return options;
}

void expect_free(const fs::path& out) {
  std::error_code ignored;
  if (fs::symlink_status(out, ignored).type() != fs::file_type::not_found)
    throw UsageError(fmt::format("--out '{}' exists already; remove it, or name another one", out.string()));
}

void expect_room(const fs::path& directory, std::uint64_t needed) {
  const std::optional<std::uint64_t> found = free_disk_bytes(directory.empty() ? fs::path(".") : directory);
  if (found && *found < needed)
    throw FileError(fmt::format("{}: the export needs {}, but the disk has {} left", directory.string(),
                                cli::human_bytes(static_cast<double>(needed)),
                                cli::human_bytes(static_cast<double>(*found))));
}

model::ModelConfig config_of(const ModelSource& source) {
  if (source.config) return *source.config;
  throw FileError(fmt::format("{}: neither its metadata nor a {} beside it describes the model", source.file.string(),
                              model::kConfigFile));
}

std::uint64_t bytes_of(std::span<const model::TensorEntry> entries) {
  std::uint64_t bytes = 0;
  for (const model::TensorEntry& entry : entries)
    bytes += static_cast<std::uint64_t>(mil::element_count(entry.shape)) * (entry.dtype == "F32" ? 4 : 2);
  return bytes;
}

void write_hugging_face(const ExportOptions& options, const Export& exported, const model::Companions& companions,
                        const model::ParameterReader& reader) {
  std::vector<model::TensorEntry> entries;
  for (const model::Parameter& parameter : exported.layout.parameters())
    entries.push_back(
        {parameter.name, parameter.shape, options.dtype.empty() ? reader.dtype(parameter) : options.dtype});
  const std::string config = model::config_json_text(exported.config, companions.config_json, entries.front().dtype);
  expect_room(options.out.parent_path(), kHeaderRoom + bytes_of(entries) + companions.size_bytes());

  NewDirectory directory(options.out);
  TemporaryFile weights(directory.path() / train::kModelFile);
  model::SafetensorsWriter writer(weights, std::move(entries), {{"format", "pt"}});
  std::vector<float> values;
  for (const model::Parameter& parameter : exported.layout.parameters()) {
    values.resize(parameter.count);
    reader.read(parameter, values);
    writer.add(values);
  }
  weights.commit();
  for (const model::CompanionFile& each : companions.files) {
    TemporaryFile file(directory.path() / each.name);
    model::copy(each, file);
    file.commit();
  }
  write_file_atomically(directory.path() / model::kConfigFile, std::as_bytes(std::span(config)));
  expect_free(options.out);
  directory.commit();
}

void write_llama2c(const ExportOptions& options, const Export& exported, const model::ParameterReader& reader) {
  expect_room(options.out.parent_path(), model::llama2c_bytes(exported.config, exported.layout));
  TemporaryFile file(options.out);
  model::write_llama2c(file, exported.config, exported.layout, reader);
  expect_free(options.out);
  file.commit();
  sync_directory(options.out.parent_path());
}

void write_adapter(const ExportOptions& options, const Export& exported, const model::AdapterSource& adapter,
                   const model::ParameterReader& reader) {
  const model::AdapterOutput output = {
      .format = options.format == ExportFormat::peft ? model::AdapterFormat::peft : model::AdapterFormat::mlx,
      .base_model = adapter.base_model.empty() ? options.model : adapter.base_model,
      .dtype = options.dtype};
  expect_room(options.out.parent_path(), kHeaderRoom + model::adapter_bytes(adapter, output));
  NewDirectory directory(options.out);
  model::write_adapter(directory.path(), output, adapter.adapter, adapter.layout, reader, exported.layout);
  expect_free(options.out);
  directory.commit();
}

}  // namespace

cli::Command export_options() {
  using Kind = cli::CommandOption::Kind;
  return {"export",
          "Writes a model or an adapter for other programs: as a Hugging Face directory, as a file of llama2.c, or as "
          "PEFT or MLX writes adapters.",
          {{Kind::value, "model", "DIR|FILE",
            "the model: a Hugging Face model directory, a checkpoint's directory, a .safetensors file beside its "
            "config.json, or llama2.c's .bin"},
           lora_option("an adapter of PEFT or MLX for the model, or a checkpoint of a LoRA run"),
           {Kind::toggle, "merge", "", "merge the adapter into the model"},
           {Kind::value, "format", "hf|llama2c|peft|mlx", "the format to write: of a model, or of an adapter"},
           {Kind::value, "out", "PATH",
            "the directory (hf, peft, mlx) or the file (llama2c) to write; it must not exist yet"},
           {Kind::value, "dtype", "f32|bf16|f16", "element type of the tensors in a directory [their own]"}}};
}

int export_command(const cli::FlagValues& flags) {
  cli::Terminal terminal;
  const OptionValues values(flags);
  const ExportOptions options = read_options(values);
  expect_free(options.out);
  const ModelSource source = open_model(options.model);
  const model::ModelConfig config = config_of(source);
  const Export exported{config, model::parameter_layout(config)};
  const std::unique_ptr<model::ParameterReader> parameters = open_parameters(source, exported.layout);
  const bool is_llama2c = options.format == ExportFormat::llama2c;
  if (const auto obstacle = is_llama2c ? model::obstacle_to_llama2c(exported.config, exported.layout) : std::nullopt)
    throw UsageError(fmt::format("model '{}' cannot be exported in llama2.c's format: {}; --format hf can",
                                 options.model, *obstacle));
  const std::optional<model::AdapterSource> adapter = open_adapter(values, exported.layout, terminal);
  std::optional<model::MergedReader> merged;
  if (options.merge) merged.emplace(*parameters, *adapter);
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit is then a write error instead of a kill
  const StopSignals signals;
  const bool is_adapter = is_of_adapters(options.format);
  const StoppableReader reader(is_adapter ? *adapter->reader : merged ? *merged : *parameters, signals);
  if (is_adapter) {
    write_adapter(options, exported, *adapter, reader);
  } else if (is_llama2c) {
    write_llama2c(options, exported, reader);
  } else {
    write_hugging_face(options, exported, companions_of(source), reader);
  }
  const model::ParameterLayout& written = is_adapter ? adapter->layout : exported.layout;
  terminal.print(fmt::format("{}: {} tensors, {} parameters", options.out.string(), written.parameters().size(),
                             written.parameter_count()));
  return 0;
}

}  // namespace ane::app
