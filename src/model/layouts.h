#pragma once

#include "ane/model/config.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// The parameter layouts of the families. Both functions throw UsageError for a config that check_parameters()
/// refuses.
[[nodiscard]] ParameterLayout llama_parameters(const ModelConfig& config);
[[nodiscard]] ParameterLayout mlp_parameters(const ModelConfig& config);

}  // namespace ane::model
