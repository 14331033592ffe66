#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ane/device/apple/ane_device.h"
#include "ane/explore/verdicts.h"

/// What follows from the verdicts about a machine for the runs on it.
namespace ane::explore {

/// A choice, for the user.
struct Choice {
  std::string what;    ///< "compile budget"
  std::string value;   ///< "95"
  std::string reason;  ///< the finding's words, and why the choice follows from them
};

struct Adaptation {
  device::DeviceLimits limits;
  device::apple::RuleOverrides rules;  ///< for AneOptions
  int cancel_retries = 0;              ///< at least so many
  std::optional<double> largest_loss_scale;
  /// Where --compile-in auto compiles: "worker" or "process"; nullopt if the experiments about it were not made.
  std::optional<Choice> compile_in;
  std::vector<Choice> choices;
};

/// An experiment without a usable finding changes nothing.
[[nodiscard]] Adaptation adapt(const Verdicts& verdicts);

/// `options` with what has been adapted.
[[nodiscard]] device::apple::AneOptions adapted(device::apple::AneOptions options, const Adaptation& adaptation);

}  // namespace ane::explore
