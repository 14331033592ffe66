#pragma once

#include <optional>
#include <string>

#include "ane/cli/settings.h"
#include "ane/device/device.h"

/// How kernels get an update's weights where `--weights auto` leaves it to the program.
namespace ane::cli {

struct WeightsDecision {
  WeightsChoice choice = WeightsChoice::baked;  ///< never automatic
  std::string reason;                           ///< in words; empty if the user chose
};

/// What the user chose; else what a run that is resumed had, for it stays what it was; else baked on the host, where
/// compiling costs nothing; else dynamic, unless there is an obstacle.
[[nodiscard]] WeightsDecision settle_weights(const Settings& settings, const device::Device& device);

/// `settings` with what was decided.
[[nodiscard]] Settings settled(Settings settings, const WeightsDecision& decision);

/// The first rule for which `device` would refuse a kernel that takes its weights with its input, and that kernel.
/// Nothing if it would take all.
[[nodiscard]] std::optional<std::string> obstacle_to_dynamic(const Settings& settings, const device::Device& device);

/// "Weights: dynamic (auto): REASON" for the header; nothing if the user chose.
[[nodiscard]] std::optional<std::string> weights_line(const WeightsDecision& decision);

}  // namespace ane::cli
