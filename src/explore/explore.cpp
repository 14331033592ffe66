#include "ane/explore/explore.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>

#include <fmt/format.h>

#include "child.h"

namespace ane::explore {

namespace {

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t{random()} << 32U | random();
}

/// The last line that a process wrote, without its name.
std::string last_line(std::string text) {
  constexpr std::string_view kName = "ane-train: ";
  while (text.ends_with('\n')) text.pop_back();
  text.erase(0, text.rfind('\n') + 1);
  return text.starts_with(kName) ? text.substr(kName.size()) : text;
}

/// The finding that a process printed, or what its end means.
Finding finding_of_end(const ChildEnd& end, std::optional<Finding> printed, const Experiment& experiment) {
  const bool is_complete = printed && printed->verdict != kReported;
  if (end.exit_code == 0 && is_complete) return *std::move(printed);
  const std::optional<double> value = printed ? printed->value : std::nullopt;
  const std::string reached = value ? fmt::format(" (it had reached {:g})", *value) : "";
  if (end.timed_out)
    return {std::string(kTimedOut), value,
            fmt::format("the experiment did not end within {} s{}", experiment.time_limit.count(), reached)};
  if (end.signal)
    return {std::string(kCrashed), value,
            fmt::format("the experiment's process was killed by signal {} ({}){}", *end.signal, strsignal(*end.signal),
                        reached)};
  return {std::string(kFailed), value, fmt::format("the experiment failed{}: {}", reached, last_line(end.errors))};
}

Finding run_in_child(const Experiment& experiment, const StageRequest& request, const Exploration& exploration) {
  std::vector<std::string> environment = exploration.environment;
  environment.push_back(fmt::format("{}={}", kStageVariable, to_text(request)));
  std::optional<Finding> last;
  const auto limit = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(experiment.time_limit) * exploration.patience);
  const ChildEnd end = run_child(exploration.executable, environment, limit, [&](const std::string& line) {
    if (std::optional<Finding> finding = finding_in(line)) last = std::move(finding);
  });
  return finding_of_end(end, std::move(last), experiment);
}

Finding run_stages(const Experiment& experiment, const Exploration& exploration) {
  StageRequest request{.experiment = std::string(experiment.name), .seed = random_seed()};
  Finding finding;
  for (; request.stage < experiment.stages.size(); ++request.stage) {
    finding = run_in_child(experiment, request, exploration);
    if (is_failure(finding)) break;
    request.before = finding.value.value_or(0);
  }
  return finding;
}

}  // namespace

std::map<std::string, Finding, std::less<>> explore(const Exploration& exploration,
                                                    const ExplorationListener& listener) {
  std::map<std::string, Finding, std::less<>> findings;
  std::vector<const Experiment*> chosen;
  for (const Experiment& experiment : experiments())
    if (!exploration.quick || !experiment.takes_minutes) chosen.push_back(&experiment);
  for (std::size_t index = 0; index < chosen.size(); ++index) {
    const Experiment& experiment = *chosen[index];
    listener.begins(index + 1, chosen.size(), experiment);
    const Finding& finding = findings.emplace(experiment.name, run_stages(experiment, exploration)).first->second;
    listener.ends(experiment, finding);
  }
  return findings;
}

}  // namespace ane::explore
