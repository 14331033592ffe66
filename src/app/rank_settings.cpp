#include "ane/app/rank_settings.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/app/recorded_settings.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"

namespace ane::app {
namespace {

/// Settings of a machine and of its output, in which ranks may differ. All others decide what is computed.
constexpr std::array<std::string_view, 14> kOwnSettings = {
    "device", "threads", "max-compiles", "compile-in", "compile-workers", "parallel-sequences",
    "config", "output",  "verbose",      "log-every",  "dump-mil",        "telemetry",
    "report", "profile"};

bool is_own(std::string_view name) { return name.starts_with("ane-") || std::ranges::count(kOwnSettings, name) > 0; }

/// Fields that a recorded settings message has besides the settings.
constexpr const char* kPlace = "recorded in";
constexpr const char* kResume = "resume";

cli::Fields fields_of(const std::optional<cli::RecordedSettings>& recorded, const cli::Settings& given) {
  cli::Fields fields{{kResume, given.resume == cli::ResumeChoice::always ? "always" : "never"}};
  if (!recorded) return fields;
  fields[kPlace] = recorded->place;
  for (const auto& [name, value] : recorded->values) fields[fmt::format("-{}", name)] = value;
  return fields;
}

std::string value_in(const std::map<std::string, std::string>& facts, const std::string& name) {
  const auto found = facts.find(name);
  return found == facts.end() ? "nothing" : found->second;
}

}  // namespace

std::optional<cli::RecordedSettings> shared_recorded_settings(distributed::Communicator& communicator,
                                                              cli::Settings& given) {
  std::optional<cli::RecordedSettings> recorded;
  if (communicator.is_first()) recorded = find_recorded_settings(given);
  const cli::Fields first = cli::unpack_fields(
      communicator.exchange("the settings of a checkpoint", cli::pack_fields(fields_of(recorded, given))).front());
  if (communicator.is_first()) return recorded;
  given.resume = first.at(kResume) == "always" ? cli::ResumeChoice::always : cli::ResumeChoice::never;
  if (!first.contains(kPlace)) return std::nullopt;
  recorded.emplace(cli::RecordedSettings{.values = {}, .place = first.at(kPlace)});
  for (const auto& [name, value] : first)
    if (name.starts_with('-')) recorded->values[name.substr(1)] = value;
  return recorded;
}

cli::Settings settings_of_rank(distributed::Communicator& communicator, const cli::Settings& given) {
  std::map<std::string, std::string> facts;
  for (const auto& [name, value] : cli::freeze(given))
    if (!is_own(name)) facts[fmt::format("--{}", name)] = value;
  expect_equal_facts(communicator, facts);
  if (given.data == data::kStandardInput)
    throw UsageError("--data - cannot be divided among several ranks; give a file that every rank can read");
  cli::Settings settings = given;
  if (communicator.is_first()) return settings;
  for (std::string* file : {&settings.telemetry, &settings.report, &settings.profile, &settings.dump_mil})
    file->clear();
  settings.output = cli::OutputChoice::quiet;
  return settings;
}

void expect_equal_facts(distributed::Communicator& communicator, const std::map<std::string, std::string>& facts) {
  const std::vector<std::string> all =
      communicator.exchange("what all ranks must agree on", cli::pack_fields({facts.begin(), facts.end()}));
  const cli::Fields first_fields = cli::unpack_fields(all.front());
  const std::map<std::string, std::string> first(first_fields.begin(), first_fields.end());
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const cli::Fields fields = cli::unpack_fields(all[rank]);
    const std::map<std::string, std::string> theirs(fields.begin(), fields.end());
    for (const auto& [name, value] : first)
      if (value_in(theirs, name) != value) {
        communicator.finish();  // all ranks have found the same
        throw UsageError(
            fmt::format("rank {} differs from rank 0 in {}:\n  rank 0: {}\n  rank {}: {}\nStart all ranks "
                        "with the same program, settings and files.",
                        rank, name, value, rank, value_in(theirs, name)));
      }
  }
}

}  // namespace ane::app
