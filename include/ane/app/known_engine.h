#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ane/app/compose.h"
#include "ane/app/invocation.h"
#include "ane/cli/settings.h"
#include "ane/explore/adaptation.h"
#include "ane/explore/verdicts.h"

namespace ane::app {

/// What earlier explorations found out about this machine's engine.
struct KnownEngine {
  std::optional<explore::Verdicts> verdicts;
  std::string note;  ///< for the user, if there are none; empty on the host

  [[nodiscard]] std::optional<explore::Adaptation> adaptation() const;
};

/// Looks only if these settings select an engine.
[[nodiscard]] KnownEngine known_engine(const cli::Settings& settings, std::span<const std::string> environment);

/// For a command that only reads: the invocation's device wrapper, and what is known about the engine.
[[nodiscard]] Instruments engine_instruments(const cli::Settings& settings, const Invocation& invocation);

/// "Adapted: compile budget 95: REASON" for each choice.
[[nodiscard]] std::vector<std::string> adapted_lines(const explore::Adaptation& adaptation);

}  // namespace ane::app
