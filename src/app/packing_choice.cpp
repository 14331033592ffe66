#include "ane/app/packing_choice.h"

#include <fmt/format.h>

#include "ane/app/weights_choice.h"

namespace ane::app {

PackingDecision resolve_packing(const cli::Settings& settings, const device::Device& device) {
  if (settings.packing != cli::PackingChoice::automatic) return {settings.packing, {}};
  if (!device.limits_compiles()) return {cli::PackingChoice::width, {}};  // no engine, so no rules
  cli::Settings wide = settings;
  wide.packing = cli::PackingChoice::width;
  const std::optional<std::string> obstacle = obstacle_to_dynamic(wide, device);
  if (!obstacle) return {cli::PackingChoice::width, {}};
  return {cli::PackingChoice::channels, fmt::format("packed along the width, {}", *obstacle)};
}

std::optional<std::string> packing_line(const PackingDecision& decision, const cli::Settings& settings) {
  const bool has_input_weights = settings.weights == cli::WeightsChoice::dynamic || !settings.lora.empty();
  if (decision.reason.empty() || !has_input_weights) return std::nullopt;
  return fmt::format("Packing: {} (auto): {}", cli::setting("packing").show(settings), decision.reason);
}

}  // namespace ane::app
