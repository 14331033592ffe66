#include "ane/app/weights_choice.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "ane/app/model_choice.h"
#include "ane/app/plan.h"
#include "ane/core/error.h"
#include "ane/device/budget.h"
#include "ane/mil/ane_rules.h"
#include "ane/model/kernel_plan.h"
#include "ane/train/checkpoint.h"

namespace ane::app {
namespace {

/// The weight mode of the newest checkpoint of the run that is resumed.
std::optional<WeightsDecision> decision_before(const cli::Settings& settings) {
  if (settings.resume != cli::ResumeChoice::always) return std::nullopt;
  const std::optional<train::CheckpointIdentity> recorded = train::recorded_identity(settings.checkpoint_dir);
  if (!recorded) return std::nullopt;
  const cli::Setting& row = cli::setting("weights");
  const auto found = recorded->settings.find(row.name);
  cli::Settings before;
  if (found == recorded->settings.end() || !row.assign(found->second, before)) return std::nullopt;
  if (before.weights == cli::WeightsChoice::automatic) return std::nullopt;
  return WeightsDecision{before.weights, "as in the run that is resumed"};
}

/// Frozen weights are compiled once, if one process can compile and hold the kernels of all layers.
WeightsDecision decision_for_adapter(const cli::Settings& settings, const device::Device& device) {
  const std::int64_t kernels = compiles_of(make_plan(settings, model::WeightMode::baked), settings.layers);
  const int limit = std::min(compile_limit(settings, device), device.limits().programs);
  if (kernels <= limit) return {cli::WeightsChoice::baked, "frozen weights are compiled once"};
  const std::string reason =
      fmt::format("{} kernels with frozen weights, but one process holds at most {}", kernels, limit);
  if (const std::optional<std::string> obstacle = obstacle_to_dynamic(settings, device))
    throw UsageError(fmt::format("--lora: {}; {}", reason, *obstacle));
  return {cli::WeightsChoice::dynamic, reason};
}

}  // namespace

WeightsDecision resolve_weights(const cli::Settings& settings, const device::Device& device) {
  if (settings.weights != cli::WeightsChoice::automatic) return {settings.weights, {}};
  if (std::optional<WeightsDecision> before = decision_before(settings)) return *std::move(before);
  if (!device.limits_compiles()) return {cli::WeightsChoice::baked, "the host compiles at almost no cost"};
  if (!settings.lora.empty()) return decision_for_adapter(settings, device);
  if (const std::optional<std::string> obstacle = obstacle_to_dynamic(settings, device))
    return {cli::WeightsChoice::baked, *obstacle};
  return {cli::WeightsChoice::dynamic, "no kernel with dynamic weights breaks a rule of this chip"};
}

std::optional<std::string> obstacle_to_dynamic(const cli::Settings& settings, const device::Device& device) {
  const model::KernelPlan plan = make_plan(settings, model::WeightMode::dynamic);
  for (const model::PlannedKernel& kernel : plan.kernels())
    for (const mil::Diagnostic& broken : device.check(kernel.definition.program))
      if (mil::is_fault(broken.severity))
        return fmt::format("kernel '{}' with dynamic weights breaks {}", kernel.definition.name,
                           mil::to_string(broken));
  return std::nullopt;
}

std::optional<std::string> weights_line(const WeightsDecision& decision) {
  if (decision.reason.empty()) return std::nullopt;
  cli::Settings chosen;
  chosen.weights = decision.choice;
  return fmt::format("Weights: {} (auto): {}", cli::setting("weights").show(chosen), decision.reason);
}

}  // namespace ane::app
