#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ane/app/base_model.h"
#include "ane/cli/settings.h"
#include "ane/train/restart.h"

namespace ane::app {

/// Passes the settings of a process to the one that replaces it, beside the state's descriptor, so that an edited
/// config or a removed model file does not affect the run.
inline constexpr const char* kSettingsVariable = "ANE_TRAIN_SETTINGS";

struct RestartContext {
  train::StateHandle state_handle;
  cli::Settings settings;
  std::string data_identity;
  std::int64_t process = 1;  ///< 1-based index within the run of the process that reads this
  /// Inherited descriptors, if present:
  std::optional<int> link{};            ///< to the rank process, on several ranks
  std::optional<int> lock{};            ///< of the checkpoint directory
  std::optional<int> standard_input{};  ///< of the file that contains it
  std::optional<int> tokens{};          ///< of the file of tokens that was made of text
  std::optional<int> companions{};      ///< of the file that model::spool() wrote
  std::optional<int> telemetry{};       ///< unless writing has failed
  std::optional<int> profile{};         ///< unless writing has failed
  /// The files of the model that is fine-tuned, and BaseModel::digest().
  std::vector<PassedFile> base{};
  std::string base_digest{};
  /// What is known about the engine, as explore::to_json() writes it; empty if nothing is.
  std::string verdicts{};

  [[nodiscard]] std::vector<int> descriptors() const;
};

/// Returns `environment` plus the variables that find_restart_context() reads.
[[nodiscard]] std::vector<std::string> environment_with(std::span<const std::string> environment,
                                                        const RestartContext& restart_context);

/// Reads the context that the previous process left; nullopt if there was none. Throws UsageError if it cannot be
/// parsed.
[[nodiscard]] std::optional<RestartContext> find_restart_context(std::span<const std::string> environment);

/// Fingerprint of everything that two processes of a run must agree on: the settings and the model.
[[nodiscard]] std::uint64_t fingerprint_of(const cli::Settings& settings, const model::ModelConfig& config);

}  // namespace ane::app
