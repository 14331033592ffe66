#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// A page with charts of recorded runs.
namespace ane::report {

/// Columns of numbers of equal length, one value per record; NaN where a record lacks the number.
using Columns = std::map<std::string, std::vector<double>, std::less<>>;

/// Something that happened once.
struct Event {
  std::string kind;  ///< "restart", "checkpoint" or "resume"
  double time_s = 0;
  double step = 0;
};

/// Text that the model wrote during training.
struct Sample {
  double step = 0;
  std::string prompt, text;
};

/// What the telemetry of a run (docs/telemetry.md) contains. Times are in seconds since its first record.
struct RecordedRun {
  std::string file;
  std::vector<std::pair<std::string, std::string>> settings;  ///< "config.hidden_size": "64", sorted by name
  std::vector<std::pair<std::string, std::string>> summary;   ///< the fields of the `end` record; empty without one
  /// update, step, tokens, time_s, loss, lr, grad_norm, loss_scale, compile_ms, train_ms, ms_per_step, and the parts of
  /// a sequence's time, t_ane and so on, as means over the sequences of the update.
  Columns updates;
  Columns validations;  ///< update, step, tokens, time_s, loss
  std::vector<Event> events;
  std::vector<Sample> samples;
};

/// Reads the runs of a telemetry file. A last line without a line break is ignored: a process that is killed while it
/// writes leaves one. Throws FileError, with the number of the line, if any other line is not a record, and if there is
/// no run.
[[nodiscard]] std::vector<RecordedRun> read_runs(const std::filesystem::path& path);

/// Seconds since 1970 of "2026-03-01T12:34:56.789Z"; nullopt if `text` is something else.
[[nodiscard]] std::optional<double> seconds_since_1970(std::string_view text);

}  // namespace ane::report
