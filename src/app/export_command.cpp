#include "ane/app/export_command.h"

#include <algorithm>
#include <array>
#include <atomic>
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

#include "ane/app/model_source.h"
#include "ane/app/option_values.h"
#include "ane/app/signals.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHeaderRoom = std::uint64_t{4} << 20U;  // for everything besides the values

struct ExportOptions {
  std::string model;
  bool is_llama2c = false;
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
  struct Stopped {};  ///< thrown by read()

  StoppableReader(const model::ParameterReader& reader, const std::atomic<bool>& stop)
      : reader_(&reader), stop_(&stop) {}
  void read(const model::Parameter& parameter, std::span<float> values) const override {
    if (*stop_) throw Stopped();
    reader_->read(parameter, values);
  }
  std::string dtype(const model::Parameter& parameter) const override { return reader_->dtype(parameter); }

 private:
  const model::ParameterReader* reader_;
  const std::atomic<bool>* stop_;
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

ExportOptions read_options(const OptionValues& values) {
  ExportOptions options{
      .model = values.required("model", "the model to export"), .out = {}, .dtype = read_dtype(values)};
  const std::string format = values.required("format", "hf or llama2c");
  if (format != "hf" && format != "llama2c")
    throw UsageError(fmt::format("--format: {}", cli::wrong_value(format, "one of hf, llama2c")));
  options.is_llama2c = format == "llama2c";
  if (options.is_llama2c && !options.dtype.empty() && options.dtype != "F32")
    throw UsageError("--dtype: llama2.c's format has only f32; omit --dtype");
  options.out = values.required("out", options.is_llama2c ? "the file to write" : "the directory to write");
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

}  // namespace

cli::Command export_options() {
  using Kind = cli::CommandOption::Kind;
  return {"export",
          "Writes a model for other programs: as a Hugging Face directory or as a file of llama2.c.",
          {{Kind::value, "model", "DIR|FILE",
            "the model: a Hugging Face model directory, a checkpoint's directory, a .safetensors file beside its "
            "config.json, or llama2.c's .bin"},
           {Kind::value, "format", "hf|llama2c", "the format to write"},
           {Kind::value, "out", "PATH", "the directory (hf) or the file (llama2c) to write; it must not exist yet"},
           {Kind::value, "dtype", "f32|bf16|f16",
            "element type of the weights in a Hugging Face directory [the model's]"}}};
}

int export_command(const cli::FlagValues& values) {
  cli::Terminal terminal;
  const ExportOptions options = read_options(OptionValues(values));
  expect_free(options.out);
  const ModelSource source = open_model(options.model);
  const model::ModelConfig config = config_of(source);
  const Export exported{config, model::parameter_layout(config)};
  const std::unique_ptr<model::ParameterReader> parameters = open_parameters(source, exported.layout);
  if (const auto obstacle =
          options.is_llama2c ? model::obstacle_to_llama2c(exported.config, exported.layout) : std::nullopt)
    throw UsageError(fmt::format("model '{}' cannot be exported in llama2.c's format: {}; --format hf can",
                                 options.model, *obstacle));
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit is then a write error instead of a kill
  const StopSignals signals;
  const StoppableReader reader(*parameters, signals.stop());
  try {
    if (options.is_llama2c) {
      write_llama2c(options, exported, reader);
    } else {
      write_hugging_face(options, exported, companions_of(source), reader);
    }
  } catch (const StoppableReader::Stopped&) {
    terminal.info(fmt::format("stopped by signal {}; nothing was written", signals.number()));
    return kSignalExit + signals.number();
  }
  terminal.print(fmt::format("{}: {} tensors, {} parameters", options.out.string(), exported.layout.parameters().size(),
                             exported.layout.parameter_count()));
  return 0;
}

}  // namespace ane::app
