#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/device/apple/raw_program.h"
#include "ane/explore/clock.h"
#include "ane/explore/verdicts.h"

/// Experiments that find out how this machine's engine behaves where reports about others contradict each other (ane.md
/// 8). Each stage of an experiment runs in its own process, because it may exhaust the limits of a process, hang or
/// crash.
namespace ane::explore {

/// What a stage works with.
struct Lab {
  device::apple::RawEngine& engine;
  std::uint64_t seed = 0;  ///< makes program texts new; the same in all stages
  Clock& clock;
  /// The value of the previous stage; 0 in the first one.
  double before = 0;
  /// Reports an intermediate value, which survives a crash of the process.
  std::function<void(double)> report;
};

/// Throws DeviceError if the engine does not do what the experiment takes for granted.
using Stage = Finding (*)(const Lab& lab);

struct Experiment {
  std::string_view name;
  std::string_view question;
  std::vector<Stage> stages;        ///< the last one's finding is the experiment's
  std::chrono::seconds time_limit;  ///< of a stage
  bool takes_minutes = false;
};

[[nodiscard]] std::span<const Experiment> experiments();

// Names of the experiments, for what adapts to their findings.
inline constexpr std::string_view kFailures = "failures";
inline constexpr std::string_view kBinding = "binding";
inline constexpr std::string_view kCachedLoad = "cached-load";
inline constexpr std::string_view kCompileLimit = "compile-limit";
inline constexpr std::string_view kLoadLimit = "load-limit";
inline constexpr std::string_view kResidentLimit = "resident-limit";
inline constexpr std::string_view kOverflow = "overflow";
inline constexpr std::string_view kSmallProducts = "small-products";
inline constexpr std::string_view kOffsetSlice = "offset-slice";
inline constexpr std::string_view kIdle = "idle";

/// Tells a process which stage of an experiment to run.
struct StageRequest {
  std::string experiment;
  std::size_t stage = 0;
  std::uint64_t seed = 0;
  double before = 0;  ///< as in Lab
};
/// Internal environment variable of a process that runs a stage.
inline constexpr const char* kStageVariable = "ANE_TRAIN_EXPERIMENT";
[[nodiscard]] std::string to_text(const StageRequest& request);
/// The request in `environment`, if there is one. Throws UsageError if it is not what to_text() returns.
[[nodiscard]] std::optional<StageRequest> find_stage_request(std::span<const std::string> environment);

/// Runs a stage in this process and calls `print` with each line for the parent.
void run_stage(const StageRequest& request, Clock& clock, const std::function<void(const std::string&)>& print);

}  // namespace ane::explore
