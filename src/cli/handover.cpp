#include "ane/cli/handover.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/core/error.h"

namespace ane::cli {
namespace {

// No setting has a blank in its name.
constexpr const char* kDataIdentity = "data identity";
constexpr const char* kProcess = "process number";

const std::string* find_variable(std::span<const std::string> environment, const char* name) {
  const std::string prefix = fmt::format("{}=", name);
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& entry) { return entry.starts_with(prefix); });
  return found == environment.end() ? nullptr : &*found;
}

std::string value_of(const std::string& entry) { return entry.substr(entry.find('=') + 1); }

}  // namespace

std::vector<std::string> handover_environment(std::span<const std::string> environment, const Handover& handover) {
  std::vector<std::string> result = train::restart_environment(environment, handover.handoff);
  const std::string prefix = fmt::format("{}=", kSettingsVariable);
  std::erase_if(result, [&](const std::string& entry) { return entry.starts_with(prefix); });
  Fields fields = freeze(handover.settings);
  fields[kDataIdentity] = handover.data_identity;
  fields[kProcess] = fmt::format("{}", handover.process);
  result.push_back(prefix + pack_fields(fields));
  return result;
}

std::optional<Handover> find_handover(std::span<const std::string> environment) {
  const std::string* const state = find_variable(environment, train::kStateVariable);
  if (state == nullptr) return std::nullopt;
  const std::optional<train::Handoff> handoff = train::parse_handoff(value_of(*state).c_str());
  const std::string* const settings = find_variable(environment, kSettingsVariable);
  if (!handoff || settings == nullptr) {
    throw UsageError(
        fmt::format("{} is set, but {} is not: ane-train sets both when it restarts itself; unset the first",
                    train::kStateVariable, kSettingsVariable));
  }
  const Fields fields = unpack_fields(value_of(*settings));
  const auto data = fields.find(kDataIdentity);
  const auto process = fields.find(kProcess);
  return Handover{.handoff = *handoff,
                  .settings = thaw(fields),
                  .data_identity = data == fields.end() ? "" : data->second,
                  .process = process == fields.end() ? 1 : parse_integer(process->second).value_or(1)};
}

std::uint64_t fingerprint_of(const Settings& settings, std::string_view dimensions) {
  return fnv1a(std::as_bytes(std::span<const char>(pack_fields(freeze(settings)) + std::string(dimensions))));
}

}  // namespace ane::cli
