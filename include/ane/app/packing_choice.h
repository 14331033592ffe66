#pragma once

#include <optional>
#include <string>

#include "ane/cli/settings.h"
#include "ane/device/device.h"

/// Resolves `--packing auto`.
namespace ane::app {

struct PackingDecision {
  cli::PackingChoice choice = cli::PackingChoice::width;  ///< never auto
  std::string reason;                                     ///< readable; empty unless auto preferred the channels
};

/// The user's choice; else along the channels if a kernel with dynamic weights that are packed along the width breaks a
/// rule of `device`. Whether weights are dynamic does not matter, because other kernels also have slices.
[[nodiscard]] PackingDecision resolve_packing(const cli::Settings& settings, const device::Device& device);

/// "Packing: channels (auto): REASON" for the header of a run with resolved `settings`; nullopt if the user chose, or
/// if no kernel's input has weights.
[[nodiscard]] std::optional<std::string> packing_line(const PackingDecision& decision, const cli::Settings& settings);

}  // namespace ane::app
