#include "ane/model/models.h"

#include <algorithm>
#include <array>

#include "ane/model/llama.h"
#include "ane/model/llama_kernels.h"
#include "ane/model/mlp.h"

#include "layouts.h"

namespace ane::model {
namespace {

template <class Kind>
std::unique_ptr<Model> make(const ModelConfig& config, const KernelOptions& options, const ModelContext& context) {
  return std::make_unique<Kind>(config, options, context);
}

/// The functions that implement a family.
struct FamilyRow {
  Family family;
  ParameterLayout (*layout)(const ModelConfig&);
  KernelPlan (*plan)(const ModelConfig&, const KernelOptions&);
  std::unique_ptr<Model> (*make)(const ModelConfig&, const KernelOptions&, const ModelContext&);
};
constexpr std::array kFamilies = {
    FamilyRow{Family::llama, llama_parameters, llama_plan, make<Llama>},
    FamilyRow{Family::qwen2, llama_parameters, llama_plan, make<Llama>},
    FamilyRow{Family::qwen3, llama_parameters, llama_plan, make<Llama>},
    FamilyRow{Family::mlp, mlp_parameters, mlp_plan, make<Mlp>},
};

const FamilyRow& row_of(const ModelConfig& config) {
  return *std::ranges::find(kFamilies, config.family, &FamilyRow::family);
}

}  // namespace

std::unique_ptr<Model> make_model(const ModelConfig& config, const KernelOptions& options,
                                  const ModelContext& context) {
  check(config);
  return row_of(config).make(config, options, context);
}

ParameterLayout parameter_layout(const ModelConfig& config) {
  check_parameters(config);
  return row_of(config).layout(config);
}

bool is_for_kernels(const Parameter& parameter) {
  return parameter.name.starts_with("model.layers.") && !parameter.name.ends_with("layernorm.weight");
}

KernelPlan kernel_plan(const ModelConfig& config, const KernelOptions& options) {
  check(config);
  return row_of(config).plan(config, options);
}

}  // namespace ane::model
