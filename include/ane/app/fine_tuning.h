#pragma once

#include "ane/cli/settings.h"
#include "ane/model/adapter.h"
#include "ane/model/parameters.h"

/// What a run trains: all parameters, those that are not frozen, or only an adapter.
namespace ane::app {

/// Replaces the directory that `--lora` names by the rank of its adapter, adopts alpha, scale and targets from it,
/// which must agree with settings that were given, and checks the settings of fine-tuning. Throws UsageError for
/// settings that contradict each other or the model, FileError for an adapter that cannot be used.
void adopt_adapter(cli::LoadedSettings& loaded);

/// Whether some parameters are frozen.
[[nodiscard]] bool is_fine_tuned(const cli::Settings& settings) noexcept;
/// Whether the run trains no value of this parameter of the model.
[[nodiscard]] bool is_frozen(const cli::Settings& settings, const model::Parameter& parameter);
/// The adapter to train, for a model with the layout `base`; without modules if there is none. Throws UsageError for a
/// target that the model does not have, and an unsuitable rank.
[[nodiscard]] model::Adapter adapter_of(const cli::Settings& settings, const model::ParameterLayout& base);
/// "rank 16, scale 2, q_proj,v_proj": identifies the adapter in checkpoints; empty if there is none.
[[nodiscard]] std::string adapter_text(const cli::Settings& settings, const model::Adapter& adapter);

}  // namespace ane::app
