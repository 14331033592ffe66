#include "ane/app/known_engine.h"

#include <utility>

#include <fmt/format.h>

#include "ane/cli/version.h"
#include "ane/device/apple/probe.h"

namespace ane::app {

std::optional<explore::Adaptation> KnownEngine::adaptation() const {
  return verdicts ? std::optional(explore::adapt(*verdicts)) : std::nullopt;
}

KnownEngine known_engine(const cli::Settings& settings, std::span<const std::string> environment) {
  if (settings.device == cli::DeviceChoice::host) return {};
  const device::apple::Probe probe = device::apple::probe();
  if (!probe.usable() || (settings.device == cli::DeviceChoice::automatic && !probe.usable_unasked())) return {};
  const std::string advice =
      "ane-train doctor --explore finds out what this machine's engine can do, and runs adapt to it; until then, runs "
      "keep to limits that are safe on most machines";
  const auto path = explore::verdicts_file(environment);
  if (!path) return {std::nullopt, advice};
  explore::Known known = explore::read_verdicts(*path, explore::machine_of(probe, cli::release()));
  if (known.verdicts) return {std::move(known.verdicts), {}};
  return {std::nullopt, known.ignored.empty() ? advice : fmt::format("{}; {}", known.ignored, advice)};
}

Instruments engine_instruments(const cli::Settings& settings, const Invocation& invocation) {
  return {.wrap_device = invocation.wrap_device,
          .dump_mil = false,
          .adaptation = known_engine(settings, invocation.environment).adaptation()};
}

std::vector<std::string> adapted_lines(const explore::Adaptation& adaptation) {
  std::vector<std::string> lines;
  for (const explore::Choice& choice : adaptation.choices)
    lines.push_back(fmt::format("Adapted: {} {}: {}", choice.what, choice.value, choice.reason));
  return lines;
}

}  // namespace ane::app
