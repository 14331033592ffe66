#pragma once

#include <map>
#include <optional>
#include <string>

#include "ane/cli/settings.h"
#include "ane/distributed/communicator.h"

/// What the ranks of a run must agree on before they train.
namespace ane::app {

/// find_recorded_settings() in the first rank, for all: the others need no access to its checkpoints.
[[nodiscard]] std::optional<cli::RecordedSettings> shared_recorded_settings(distributed::Communicator& communicator,
                                                                            cli::Settings& given);

/// The settings that this rank should use, from those that it was given. Only the first rank writes files. Throws
/// UsageError, in all ranks, if a setting that all must agree on differs, or cannot be used on several ranks.
[[nodiscard]] cli::Settings settings_of_rank(distributed::Communicator& communicator, const cli::Settings& given);

/// Throws UsageError, in all ranks, if a fact differs between ranks; the message names the fact, both values and the
/// rank.
void expect_equal_facts(distributed::Communicator& communicator, const std::map<std::string, std::string>& facts);

}  // namespace ane::app
