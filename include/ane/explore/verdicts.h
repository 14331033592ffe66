#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ane/device/apple/probe.h"

/// What the experiments found on a machine, and the file that keeps it.
namespace ane::explore {

/// What the findings hold for.
struct Machine {
  std::string chip;          ///< "Apple M4 Pro"
  std::string architecture;  ///< of the engine: "h16g"
  std::string os;            ///< "macOS 15.3 (24D60)"
  std::string driver;        ///< version of the program: "0.1.0"
  friend bool operator==(const Machine&, const Machine&) = default;
};
[[nodiscard]] Machine machine_of(const device::apple::Probe& probe, std::string_view driver_version);

/// The result of an experiment.
struct Finding {
  std::string verdict;          ///< one word or two, such as "infinite"; each experiment has its own
  std::optional<double> value;  ///< a number that belongs to it, such as a limit
  std::string words;            ///< for people: one sentence
  friend bool operator==(const Finding&, const Finding&) = default;
};

// Verdicts that every experiment can have. The value is the last one that its process reported.
inline constexpr std::string_view kCrashed = "crashed";
inline constexpr std::string_view kTimedOut = "timed out";
inline constexpr std::string_view kFailed = "failed";
/// Whether the experiment's process failed, crashed or timed out.
[[nodiscard]] bool is_failure(const Finding& finding);
/// Verdict of an experiment that is still running.
inline constexpr std::string_view kReported = "reached";

struct Verdicts {
  Machine machine;
  std::string explored;                                  ///< UTC, ISO 8601
  std::map<std::string, Finding, std::less<>> findings;  ///< by the experiment's name
  friend bool operator==(const Verdicts&, const Verdicts&) = default;

  /// The finding, if the experiment has been made.
  [[nodiscard]] const Finding* find(std::string_view experiment) const;
};

/// JSON with an entry per line, for people and bug reports.
[[nodiscard]] std::string to_json(const Verdicts& verdicts);
/// Throws FileError that names `path` for anything that to_json() does not write, also for a newer format.
[[nodiscard]] Verdicts parse_verdicts(const std::filesystem::path& path, std::string_view text);

/// A finding as a line of JSON, in which an experiment's process reports to its parent, and back; nullopt for other
/// lines.
[[nodiscard]] std::string to_line(const Finding& finding);
[[nodiscard]] std::optional<Finding> finding_in(std::string_view line);

/// engine.json in cache_directory(), if there is one.
[[nodiscard]] std::optional<std::filesystem::path> verdicts_file(std::span<const std::string> environment);

/// What is known about a machine, or why nothing is.
struct Known {
  std::optional<Verdicts> verdicts;
  std::string ignored;  ///< one line about a file that exists but cannot be used; empty if there is none
};
/// Reads the file, which is never trusted: if it is damaged, of another machine or of a newer version of the program,
/// it is ignored.
[[nodiscard]] Known read_verdicts(const std::filesystem::path& path, const Machine& machine);

/// Writes the file atomically. Throws FileError.
void write_verdicts(const std::filesystem::path& path, const Verdicts& verdicts);

}  // namespace ane::explore
