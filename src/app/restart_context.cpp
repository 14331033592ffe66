#include "ane/app/restart_context.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/core/environment.h"
#include "ane/core/error.h"

namespace ane::app {
namespace {

// Setting names contain no blanks, so these keys are unique.
constexpr const char* kDataIdentity = "data identity";
constexpr const char* kProcess = "process number";

/// An inherited descriptor and its field.
struct Passed {
  const char* field;
  std::optional<int> RestartContext::*descriptor;
};
constexpr std::array kPassed = {Passed{"rank link", &RestartContext::link},
                                Passed{"checkpoint lock", &RestartContext::lock},
                                Passed{"standard input", &RestartContext::standard_input},
                                Passed{"tokens descriptor", &RestartContext::tokens},
                                Passed{"companions descriptor", &RestartContext::companions},
                                Passed{"telemetry descriptor", &RestartContext::telemetry},
                                Passed{"profile descriptor", &RestartContext::profile}};

std::string base_field(std::size_t index) { return fmt::format("base file {}", index); }
constexpr const char* kBaseDigest = "base digest";
constexpr const char* kVerdicts = "engine verdicts";

std::string text_of(const PassedFile& file) {
  return fmt::format("{} {} {} {}", file.descriptor, file.identity.size_bytes, file.identity.modified_ns,
                     file.path.string());
}

PassedFile passed_file(std::string_view text) {
  const auto next = [&] {
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::optional<std::int64_t> number = cli::parse_integer(text.substr(0, blank));
    if (!number) throw UsageError(fmt::format("{} is damaged; unset it", kSettingsVariable));
    text.remove_prefix(std::min(blank + 1, text.size()));
    return *number;
  };
  PassedFile file;
  file.descriptor = static_cast<int>(next());
  file.identity.size_bytes = static_cast<std::uint64_t>(next());
  file.identity.modified_ns = next();
  file.path = text;
  return file;
}

}  // namespace

std::vector<int> RestartContext::descriptors() const {
  std::vector<int> descriptors = {state_handle.descriptor};
  for (const Passed& passed : kPassed)
    if (const std::optional<int>& descriptor = this->*passed.descriptor) descriptors.push_back(*descriptor);
  for (const PassedFile& file : base) descriptors.push_back(file.descriptor);
  return descriptors;
}

std::vector<std::string> environment_with(std::span<const std::string> environment,
                                          const RestartContext& restart_context) {
  std::vector<std::string> result = train::restart_environment(environment, restart_context.state_handle);
  const std::string prefix = fmt::format("{}=", kSettingsVariable);
  std::erase_if(result, [&](const std::string& entry) { return entry.starts_with(prefix); });
  cli::Fields fields = cli::freeze(restart_context.settings);
  fields[kDataIdentity] = restart_context.data_identity;
  fields[kProcess] = fmt::format("{}", restart_context.process);
  for (const Passed& passed : kPassed)
    if (const std::optional<int>& descriptor = restart_context.*passed.descriptor)
      fields[passed.field] = fmt::format("{}", *descriptor);
  for (std::size_t i = 0; i < restart_context.base.size(); ++i)
    fields[base_field(i)] = text_of(restart_context.base[i]);
  if (!restart_context.base.empty()) fields[kBaseDigest] = restart_context.base_digest;
  if (!restart_context.verdicts.empty()) fields[kVerdicts] = restart_context.verdicts;
  result.push_back(prefix + cli::pack_fields(fields));
  return result;
}

std::optional<RestartContext> find_restart_context(std::span<const std::string> environment) {
  const std::optional<std::string> state = find_variable(environment, train::kStateVariable);
  if (!state) return std::nullopt;
  const std::optional<train::StateHandle> state_handle = train::parse_state_handle(state->c_str());
  const std::optional<std::string> settings = find_variable(environment, kSettingsVariable);
  if (!state_handle || !settings) {
    throw UsageError(
        fmt::format("{} is set, but {} is not: ane-train sets both when it restarts itself; unset the first",
                    train::kStateVariable, kSettingsVariable));
  }
  const cli::Fields fields = cli::unpack_fields(*settings);
  const auto number = [&](const char* name) -> std::optional<std::int64_t> {
    const auto found = fields.find(name);
    return found == fields.end() ? std::nullopt : cli::parse_integer(found->second);
  };
  RestartContext restart_context{.state_handle = *state_handle, .settings = cli::thaw(fields), .data_identity = {}};
  if (const auto data = fields.find(kDataIdentity); data != fields.end()) restart_context.data_identity = data->second;
  restart_context.process = number(kProcess).value_or(1);
  for (const Passed& passed : kPassed)
    if (const auto descriptor = number(passed.field))
      restart_context.*passed.descriptor = static_cast<int>(*descriptor);
  for (auto file = fields.find(base_field(0)); file != fields.end();
       file = fields.find(base_field(restart_context.base.size())))
    restart_context.base.push_back(passed_file(file->second));
  if (const auto digest = fields.find(kBaseDigest); digest != fields.end())
    restart_context.base_digest = digest->second;
  if (const auto verdicts = fields.find(kVerdicts); verdicts != fields.end())
    restart_context.verdicts = verdicts->second;
  return restart_context;
}

std::uint64_t fingerprint_of(const cli::Settings& settings, const model::ModelConfig& config) {
  return cli::fnv1a(
      std::as_bytes(std::span<const char>(cli::pack_fields(cli::freeze(settings)) + model::to_json(config))));
}

}  // namespace ane::app
