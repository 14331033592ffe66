#pragma once

#include <optional>
#include <string>

#include "ane/cli/settings.h"
#include "ane/device/device.h"

/// Resolves `--weights auto` to a weight mode.
namespace ane::app {

struct WeightsDecision {
  cli::WeightsChoice choice = cli::WeightsChoice::baked;  ///< never auto
  std::string reason;                                     ///< readable; empty if the user chose
};

/// The user's choice; else the mode of the run that is resumed; else baked on the host, where compiling costs nothing;
/// else dynamic unless there is an obstacle.
[[nodiscard]] WeightsDecision resolve_weights(const cli::Settings& settings, const device::Device& device);

/// Describes the first rule by which `device` would refuse a kernel with dynamic weights, and that kernel; nullopt if
/// it accepts all.
[[nodiscard]] std::optional<std::string> obstacle_to_dynamic(const cli::Settings& settings,
                                                             const device::Device& device);

/// "Weights: dynamic (auto): REASON" for the header; nullopt if the user chose.
[[nodiscard]] std::optional<std::string> weights_line(const WeightsDecision& decision);

}  // namespace ane::app
