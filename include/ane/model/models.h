#pragma once

#include <memory>

#include "ane/model/llama_config.h"
#include "ane/model/model.h"

namespace ane::model {

/// `element` is fp16, or fp32 to run the same programs unrounded on the host.
[[nodiscard]] std::unique_ptr<Model> make_llama(const LlamaConfig& config, mil::DType element, const Engine& engine,
                                                PlanChoice plan = PlanChoice::split);
[[nodiscard]] std::unique_ptr<Model> make_mlp(const MlpConfig& config, mil::DType element, const Engine& engine);

/// The layouts alone, for readers of weight files and for planning.
[[nodiscard]] ParameterLayout llama_parameters(const LlamaConfig& config);
[[nodiscard]] ParameterLayout mlp_parameters(const MlpConfig& config);

}  // namespace ane::model
