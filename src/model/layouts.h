#pragma once

#include "ane/model/config.h"
#include "ane/model/parameters.h"

namespace ane::model {

/// Parameters of a family. Throw UsageError for a config that check() refuses.
[[nodiscard]] ParameterLayout llama_parameters(const ModelConfig& config);
[[nodiscard]] ParameterLayout mlp_parameters(const ModelConfig& config);

}  // namespace ane::model
