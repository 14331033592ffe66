#include "ane/explore/explore.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

#include <fmt/format.h>

#include "ane/core/child_process.h"

namespace ane::explore {

namespace {

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t{random()} << 32U | random();
}

/// The finding that a process printed, or what its end means. `end`: nullopt if it did not end in time.
Finding finding_of_end(const std::optional<ProcessEnd>& end, const std::string& errors, std::optional<Finding> printed,
                       const Experiment& experiment) {
  const bool is_complete = printed && printed->verdict != kReported;
  if (end && end->exit_code == 0 && is_complete) return *std::move(printed);
  const std::optional<double> value = printed ? printed->value : std::nullopt;
  const std::string reached = value ? fmt::format(" (it had reached {:g})", *value) : "";
  if (!end)
    return {std::string(kTimedOut), value,
            fmt::format("the experiment did not end within {} s{}", experiment.time_limit.count(), reached)};
  if (end->signal)
    return {std::string(kCrashed), value, fmt::format("the experiment's process {}{}", to_string(*end), reached)};
  return {std::string(kFailed), value, fmt::format("the experiment failed{}: {}", reached, last_error(errors))};
}

ChildProcess::Read read_line(ChildProcess& process, std::string& line, ChildProcess::Time deadline,
                             const Exploration& exploration) {
  constexpr auto kBetweenLooks = std::chrono::milliseconds(100);
  for (;;) {
    exploration.check_stop();
    const auto next = std::min<ChildProcess::Time>(deadline, std::chrono::steady_clock::now() + kBetweenLooks);
    const ChildProcess::Read read = process.read_line(line, next);
    if (read != ChildProcess::Read::late || next == deadline) return read;
  }
}

Finding run_in_child(const Experiment& experiment, const StageRequest& request, const Exploration& exploration) {
  std::vector<std::string> environment = exploration.environment;
  environment.push_back(fmt::format("{}={}", kStageVariable, to_text(request)));
  const auto limit = std::chrono::duration<double>(experiment.time_limit) * exploration.patience;
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit);
  ChildProcess process(exploration.executable, environment, ChildProcess::Kind::job);
  std::optional<Finding> last;
  std::string line;
  auto read = ChildProcess::Read::line;
  while ((read = read_line(process, line, deadline, exploration)) == ChildProcess::Read::line)
    if (std::optional<Finding> finding = finding_in(line)) last = std::move(finding);
  std::optional<ProcessEnd> end;
  if (read == ChildProcess::Read::ended) end = process.wait(deadline);
  exploration.check_stop();  // the terminal's signal may have ended the process as well
  return finding_of_end(end, process.errors(), std::move(last), experiment);
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

void explore(const Exploration& exploration, const ExplorationListener& listener) {
  std::vector<const Experiment*> chosen;
  for (const Experiment& experiment : experiments())
    if (!exploration.quick || !experiment.takes_minutes) chosen.push_back(&experiment);
  for (std::size_t index = 0; index < chosen.size(); ++index) {
    const Experiment& experiment = *chosen[index];
    listener.begins(index + 1, chosen.size(), experiment);
    listener.ends(experiment, run_stages(experiment, exploration));
  }
}

}  // namespace ane::explore
