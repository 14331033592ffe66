#include "ane/explore/verdicts.h"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/core/environment.h"
#include "ane/core/error.h"
#include "ane/core/file.h"

namespace ane::explore {

namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "ane-train engine";
constexpr int kVersion = 1;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20U;  // a few thousand are usual
constexpr int kDeepest = 4;                                    // the format uses 3

json json_of(const Finding& finding) {
  json object = {{"verdict", finding.verdict}};
  if (finding.value) object["value"] = *finding.value;
  object["words"] = finding.words;
  return object;
}

/// Strict, so that nothing is taken for a finding that is not one.
std::optional<Finding> finding_of(const json& object) {
  const auto is_text = [&](const char* name) { return object.contains(name) && object[name].is_string(); };
  if (!object.is_object() || !is_text("verdict") || !is_text("words")) return std::nullopt;
  Finding finding{object["verdict"].get<std::string>(), std::nullopt, object["words"].get<std::string>()};
  if (!object.contains("value")) return finding;
  if (!object["value"].is_number() || !std::isfinite(object["value"].get<double>())) return std::nullopt;
  finding.value = object["value"].get<double>();
  return finding;
}

/// A discarded value if the text is not JSON, or nested too deeply to be handled.
json parse_shallow(std::string_view text) {
  bool is_deep = false;
  json parsed = json::parse(
      text,
      [&](int depth, json::parse_event_t, json&) {
        is_deep = is_deep || depth > kDeepest;
        return !is_deep;
      },
      false);
  return is_deep ? json(json::value_t::discarded) : parsed;
}

std::string text_in(const std::filesystem::path& path, const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string())
    throw_file_error(path, fmt::format("it is damaged: '{}' should be a string", name));
  return found->get<std::string>();
}

}  // namespace

Machine machine_of(const device::apple::Probe& probe, std::string_view driver_version) {
  return {probe.chip, probe.architecture, probe.os, std::string(driver_version)};
}

bool is_failure(const Finding& finding) {
  return finding.verdict == kCrashed || finding.verdict == kTimedOut || finding.verdict == kFailed;
}

const Finding* Verdicts::find(std::string_view experiment) const {
  const auto found = findings.find(experiment);
  return found == findings.end() ? nullptr : &found->second;
}

std::string to_json(const Verdicts& verdicts) {
  json findings = json::object();
  for (const auto& [name, finding] : verdicts.findings) findings[name] = json_of(finding);
  const json object = {{"format", kFormat},
                       {"version", kVersion},
                       {"chip", verdicts.machine.chip},
                       {"architecture", verdicts.machine.architecture},
                       {"os", verdicts.machine.os},
                       {"driver", verdicts.machine.driver},
                       {"explored", verdicts.explored},
                       {"findings", findings}};
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Verdicts parse_verdicts(const std::filesystem::path& path, std::string_view text) {
  const json object = parse_shallow(text);
  if (!object.is_object()) throw_file_error(path, "it is damaged: it is not a JSON object");
  if (text_in(path, object, "format") != kFormat) throw_file_error(path, "ane-train doctor did not write it");
  const auto version = object.find("version");
  if (version == object.end() || !version->is_number_integer())
    throw_file_error(path, "it is damaged: 'version' should be a number");
  if (version->get<std::int64_t>() != kVersion)
    throw_file_error(path, fmt::format("it has version {} of the format, but this program reads version {}",
                                       version->get<std::int64_t>(), kVersion));
  Verdicts verdicts;
  verdicts.machine = {text_in(path, object, "chip"), text_in(path, object, "architecture"), text_in(path, object, "os"),
                      text_in(path, object, "driver")};
  verdicts.explored = text_in(path, object, "explored");
  const auto findings = object.find("findings");
  if (findings == object.end() || !findings->is_object())
    throw_file_error(path, "it is damaged: 'findings' should be an object");
  for (const auto& [name, value] : findings->items()) {
    std::optional<Finding> finding = finding_of(value);
    if (!finding) throw_file_error(path, fmt::format("it is damaged: '{}' is not a finding", name));
    verdicts.findings.emplace(name, *std::move(finding));
  }
  return verdicts;
}

std::string to_line(const Finding& finding) {
  return json_of(finding).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<Finding> finding_in(std::string_view line) { return finding_of(parse_shallow(line)); }

std::optional<std::filesystem::path> verdicts_file(std::span<const std::string> environment) {
  const auto caches = cache_directory(environment);
  return caches ? std::optional(*caches / "engine.json") : std::nullopt;
}

Known read_verdicts(const std::filesystem::path& path, const Machine& machine) try {
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return {};
  Verdicts verdicts =
      parse_verdicts(path, whole_text(RegularFile(path, "what ane-train doctor --explore found"), kMostBytes));
  if (verdicts.machine == machine) return {std::move(verdicts), {}};
  const auto difference = [&](std::string_view what, const std::string& found, const std::string& here) {
    return Known{std::nullopt, fmt::format("{} is ignored: it describes the {} '{}', but this is '{}'", path.string(),
                                           what, found, here)};
  };
  const Machine& found = verdicts.machine;
  if (found.chip != machine.chip) return difference("chip", found.chip, machine.chip);
  if (found.os != machine.os) return difference("system", found.os, machine.os);
  if (found.driver != machine.driver) return difference("ane-train version", found.driver, machine.driver);
  return difference("engine", found.architecture, machine.architecture);
} catch (const Error& error) {
  return {std::nullopt, fmt::format("{}; it is ignored", error.what())};
}

void write_verdicts(const std::filesystem::path& path, const Verdicts& verdicts) {
  make_directories(path.parent_path());
  const std::string text = to_json(verdicts);
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

}  // namespace ane::explore
