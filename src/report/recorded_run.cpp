#include "ane/report/recorded_run.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/core/json_fault.h"
#include "ane/core/line_reader.h"

namespace ane::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr std::array<const char*, 7> kUpdateFields = {"update", "step",      "tokens",    "loss",
                                                      "lr",     "grad_norm", "loss_scale"};
constexpr std::array<const char*, 3> kBatchFields = {"compile_ms", "train_ms", "ms_per_step"};
constexpr std::array<const char*, 6> kParts = {"t_ane", "t_io", "t_cls", "t_elem", "t_rms", "t_cblas_wait"};
constexpr std::array<const char*, 4> kValidationFields = {"update", "step", "tokens", "loss"};
/// Fields of every record.
constexpr std::array<std::string_view, 4> kCommonFields = {"type", "time", "step", "update"};

double number(const Json& record, const char* field) {
  const auto found = record.find(field);
  return found != record.end() && found->is_number() ? found->get<double>() : kMissing;
}

std::string text(const Json& record, const char* field) {
  const auto found = record.find(field);
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The fields as texts, those of objects with the object's name before them. What lies deeper is left out.
std::vector<std::pair<std::string, std::string>> fields_of(const Json& record) {
  std::vector<std::pair<std::string, std::string>> fields;
  const auto add = [&](const std::string& name, const Json& value) {
    if (value.is_string())
      fields.emplace_back(name, value.get<std::string>());
    else if (value.is_primitive())
      fields.emplace_back(name, value.dump());
  };
  for (const auto& [name, value] : record.items()) {
    if (std::ranges::find(kCommonFields, name) != kCommonFields.end()) continue;
    add(name, value);
    if (!value.is_object()) continue;
    for (const auto& [inner, inner_value] : value.items()) add(fmt::format("{}.{}", name, inner), inner_value);
  }
  return fields;
}

/// Collects the records of one file.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  /// Throws Error if the record cannot be understood.
  void take(const Json& record) {
    const std::string type = text(record, "type");
    if (type.empty()) throw Error("this is not a record with a \"type\"");
    const std::optional<double> time = seconds_since_1970(text(record, "time"));
    if (!time) throw Error(R"(the record has no "time" such as "2026-03-01T12:34:56.789Z")");
    if (type == "run") begin_run(record, *time);
    if (runs_.empty()) throw Error("the first record of a telemetry file is of type \"run\"");
    take_as(type, record, *time - start_s_);
  }

  [[nodiscard]] std::vector<RecordedRun> runs() && { return std::move(runs_); }

 private:
  void begin_run(const Json& record, double time_s) {
    runs_.push_back({.file = file_,
                     .settings = fields_of(record),
                     .summary = {},
                     .updates = {},
                     .validations = {},
                     .events = {},
                     .samples = {}});
    start_s_ = time_s;
    sequences_ = 0;
    parts_ = {};
  }

  void take_as(const std::string& type, const Json& record, double time_s) {
    RecordedRun& run = runs_.back();
    if (type == "step") take_sequence(record);
    if (type == "update") take_update(record, time_s);
    if (type == "batch") take_batch(record);
    if (type == "val") {
      run.validations["time_s"].push_back(time_s);
      for (const char* field : kValidationFields) run.validations[field].push_back(number(record, field));
    }
    if (type == "restart" || type == "checkpoint" || type == "resume")
      run.events.push_back({type, time_s, number(record, "step")});
    if (type == "sample") run.samples.push_back({number(record, "step"), text(record, "prompt"), text(record, "text")});
    if (type == "end") run.summary = fields_of(record);
  }

  void take_sequence(const Json& record) {
    ++sequences_;
    for (std::size_t i = 0; i < kParts.size(); ++i) parts_[i] += number(record, kParts[i]);
  }

  void take_update(const Json& record, double time_s) {
    Columns& columns = runs_.back().updates;
    columns["time_s"].push_back(time_s);
    for (const char* field : kUpdateFields) columns[field].push_back(number(record, field));
    for (const char* field : kBatchFields) columns[field].push_back(kMissing);  // its `batch` record follows
    for (std::size_t i = 0; i < kParts.size(); ++i)
      columns[kParts[i]].push_back(sequences_ > 0 ? parts_[i] / sequences_ : kMissing);
    sequences_ = 0;
    parts_ = {};
  }

  void take_batch(const Json& record) {
    Columns& columns = runs_.back().updates;
    if (columns.empty() || columns["update"].back() != number(record, "update")) return;
    for (const char* field : kBatchFields) columns[field].back() = number(record, field);
  }

  std::string file_;
  std::vector<RecordedRun> runs_;
  double start_s_ = 0;
  double sequences_ = 0;                       ///< since the last update
  std::array<double, kParts.size()> parts_{};  ///< sums over them
};

}  // namespace

std::optional<double> seconds_since_1970(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  if (text.size() != kForm.size()) return std::nullopt;
  std::array<unsigned, 7> numbers{};
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(kForm.find_first_not_of('0', at), kForm.size() - 1);
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, numbers[count++]);
    if (error != std::errc() || stop != text.data() + end || text[end] != kForm[end]) return std::nullopt;
    at = end + 1;
  }
  const auto [year, month, day, hour, minute, second, millisecond] = numbers;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return 86400.0 * static_cast<double>(days) + 3600.0 * hour + 60.0 * minute + second + millisecond / 1000.0;
}

std::vector<RecordedRun> read_runs(const fs::path& path) {
  constexpr std::size_t kMostRecordBytes = std::size_t{16} << 20U;
  const RegularFile file(path, "telemetry");
  LineReader lines(file, kMostRecordBytes);
  Reader reader(path.filename().string());
  while (const std::optional<LineReader::Line> line = lines.next()) {
    if (!line->has_break) break;
    const auto fault = [&](const std::string& what) {
      return FileError(fmt::format("{}:{}: {}", path.string(), line->number, what));
    };
    if (line->is_too_long) throw fault("the line is too long for a record");
    try {
      reader.take(Json::parse(line->text));
    } catch (const Json::exception& error) {
      throw fault(json_fault(error.what()));
    } catch (const Error& error) {
      throw fault(error.what());
    }
  }
  std::vector<RecordedRun> runs = std::move(reader).runs();
  if (runs.empty())
    throw FileError(
        fmt::format("{}: the file has no record; --telemetry FILE of a training run writes them", path.string()));
  return runs;
}

}  // namespace ane::report
