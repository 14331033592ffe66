#pragma once

#include <memory>

#include "ane/model/config.h"
#include "ane/model/kernel_options.h"
#include "ane/model/kernel_plan.h"
#include "ane/model/model.h"

/// Creates the model of a config of any family, or its parts. All functions throw UsageError for a config that check()
/// refuses.
namespace ane::model {

[[nodiscard]] std::unique_ptr<Model> make_model(const ModelConfig& config, const KernelOptions& options,
                                                const ModelContext& context);

/// Only the parameter layout, for readers of weight files and for planning. The sequence may be longer than can be
/// computed (check_parameters()).
[[nodiscard]] ParameterLayout parameter_layout(const ModelConfig& config);

/// Whether only the kernels of a layer use this parameter of a transformer; the CPU uses the others: the embedding, the
/// classifier and the weights of RMSNorm between kernels.
[[nodiscard]] bool is_for_kernels(const Parameter& parameter);

/// Only the kernel plan.
[[nodiscard]] KernelPlan kernel_plan(const ModelConfig& config, const KernelOptions& options);

}  // namespace ane::model
