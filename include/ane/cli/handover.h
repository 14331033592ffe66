#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/cli/settings.h"
#include "ane/train/restart.h"

namespace ane::cli {

/// Beside the state's descriptor a process hands its settings to the one that replaces it, so that neither an edited
/// config nor a removed model file changes or ends a run.
inline constexpr const char* kSettingsVariable = "ANE_TRAIN_SETTINGS";

struct Handover {
  train::Handoff handoff;
  Settings settings;
  std::string data_identity;
  std::int64_t process = 1;  ///< of the run, from 1: the one that finds this
  /// Descriptors, of what there is:
  std::optional<int> lock{};       ///< of the checkpoint directory
  std::optional<int> telemetry{};  ///< as long as it can be written
  std::optional<int> profile{};    ///< as long as it can be written

  [[nodiscard]] std::vector<int> descriptors() const;
};

/// `environment` with what find_handover() reads.
[[nodiscard]] std::vector<std::string> handover_environment(std::span<const std::string> environment,
                                                            const Handover& handover);

/// What the process before left; nothing if there was none. Throws UsageError if it cannot be read.
[[nodiscard]] std::optional<Handover> find_handover(std::span<const std::string> environment);

/// Of everything that two processes of a run must agree on: settings and the model's dimensions.
[[nodiscard]] std::uint64_t fingerprint_of(const Settings& settings, std::string_view dimensions);

}  // namespace ane::cli
