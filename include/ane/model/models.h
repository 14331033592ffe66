#pragma once

#include <memory>

#include "ane/model/kernel_form.h"
#include "ane/model/llama_config.h"
#include "ane/model/model.h"

namespace ane::model {

[[nodiscard]] std::unique_ptr<Model> make_llama(const LlamaConfig& config, const KernelForm& form,
                                                const Engine& engine);
[[nodiscard]] std::unique_ptr<Model> make_mlp(const MlpConfig& config, const KernelForm& form, const Engine& engine);

/// Only the layouts, for readers of weight files and for planning.
[[nodiscard]] ParameterLayout llama_parameters(const LlamaConfig& config);
[[nodiscard]] ParameterLayout mlp_parameters(const MlpConfig& config);

}  // namespace ane::model
