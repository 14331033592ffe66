#include "ane/app/plan.h"

#include <vector>

#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/core/checked.h"
#include "ane/core/error.h"
#include "ane/device/budget.h"
#include "ane/mil/program.h"
#include "ane/train/optimizer.h"

namespace ane::app {
namespace {

double surface_bytes(const mil::Function& main, const std::vector<mil::ValueId>& ports) {
  double bytes = 0;
  for (const mil::ValueId id : ports) bytes += static_cast<double>(mil::surface_layout(main.value(id).type).size_bytes);
  return bytes;
}

/// Bytes of the surfaces of one sequence: the outputs that the backward pass of each layer needs, and all other inputs
/// and outputs of one layer's kernels. Inputs with weights are counted as weights.
double surface_bytes(std::span<const model::KernelInfo> kernels, std::int64_t layers) {
  double kept = 0;
  double passing = 0;
  for (const model::KernelInfo& kernel : kernels) {
    const mil::Function& main = kernel.program.main();
    (kernel.forward && !kernel.taps.empty() ? kept : passing) += surface_bytes(main, main.outputs);
    if (kernel.input_bytes == 0) passing += surface_bytes(main, main.inputs);
  }
  return static_cast<double>(layers) * kept + passing;
}

/// What these kernels and one array of parameters need.
MemoryNeed kernel_memory_need(const model::Model& model, const cli::Settings& settings, const device::Device& device,
                              std::span<const model::KernelInfo> kernels) {
  MemoryNeed need;
  const double sets = settings.pipeline ? 2 : 1;
  // The host device keeps all weights in fp32.
  const bool is_host = device.shares_cpu();
  const double widening = is_host ? sizeof(float) / static_cast<double>(mil::element_bytes(settings.precision)) : 1;
  for (const model::KernelInfo& kernel : kernels) {
    const double copies = kernel.copies;
    need.weights +=
        sets * copies * widening * static_cast<double>(kernel.weight_bytes) + static_cast<double>(kernel.input_bytes);
    if (is_host) need.weights += sizeof(float) * static_cast<double>(kernel.input_weights);
    need.weights_are_input = need.weights_are_input || kernel.input_bytes > 0;
  }
  need.surfaces = surface_bytes(kernels, settings.layers) * static_cast<double>(model.batch_slots());
  need.state = static_cast<double>(model.parameters().size()) * sizeof(float);
  need.activations = static_cast<double>(model.summary().activation_bytes);
  return need;
}

}  // namespace

MemoryNeed memory_need(const model::Model& model, const cli::Settings& settings, const device::Device& device,
                       int ranks) {
  MemoryNeed need = kernel_memory_need(model, settings, device, model.kernels().infos());
  need.gradients = need.state;
  const double sets = settings.pipeline ? 2 : 1;
  need.state *= sets;
  for (const train::StateSlot& slot : train::optimizer_slots(settings.optimizer, model.parameters()))
    need.state += static_cast<double>(slot.layout.size()) * sizeof(float) / ranks;
  need.optimizer_workspace =
      static_cast<double>(train::optimizer_workspace_bytes(settings.optimizer, model.parameters()));
  return need;
}

MemoryNeed evaluation_memory_need(const model::Model& model, const cli::Settings& settings,
                                  const device::Device& device) {
  std::vector<model::KernelInfo> kernels = model.kernels().infos();
  std::erase_if(kernels, [](const model::KernelInfo& kernel) { return !kernel.forward; });
  return kernel_memory_need(model, settings, device, kernels);
}

bool fits(const MemoryNeed& need, const AvailableMemory& available) {
  return need.total() <= static_cast<double>(available.bytes);
}

std::optional<std::string> check_memory(const MemoryNeed& need, const std::optional<AvailableMemory>& available) {
  // Measured peaks on the host were 1.02 to 1.08 times the estimate (stories15m, and stories110m with baked and with
  // dynamic weights), and 1.1 to 1.2 times for the adapter of a frozen stories110m; never less.
  constexpr double kClose = 0.75;
  if (!available) return std::nullopt;
  const auto bytes = static_cast<double>(available->bytes);
  const std::string numbers = fmt::format("about {} of memory, but {} is available ({})",
                                          cli::human_bytes(need.total()), cli::human_bytes(bytes), available->limit);
  if (!fits(need, *available))
    throw UsageError(
        fmt::format("this model needs {}; use a smaller model, a shorter sequence or fewer --parallel-sequences "
                    "(--dry-run shows the parts)",
                    numbers));
  if (need.total() <= kClose * bytes) return std::nullopt;
  return fmt::format("this run needs {}; this may not suffice, because a run can use a third more than estimated",
                     numbers);
}

int engine_compile_limit(const cli::Settings& settings, const device::DeviceLimits& limits) {
  const auto requested = static_cast<int>(settings.max_compiles);
  if (requested > 0) return std::min(requested, limits.measured_compiles.value_or(requested));
  return limits.measured_compiles.value_or(device::CompileBudget::kDefault);
}

int compile_limit(const cli::Settings& settings, const device::Device& device) {
  using device::CompileBudget;
  if (device.compile_workers() > 0) return CompileBudget::kUnlimited;
  if (device.limits_compiles()) return engine_compile_limit(settings, device.limits());
  return settings.max_compiles > 0 ? static_cast<int>(settings.max_compiles) : CompileBudget::kUnlimited;
}

std::int64_t compiles_of(const model::KernelPlan& plan, std::int64_t layers) {
  std::int64_t compiles = 0;
  for (const model::PlannedKernel& kernel : plan.kernels()) compiles += kernel.definition.weights.empty() ? 1 : layers;
  return compiles;
}

CompilePlan plan_compiles(std::span<const model::KernelInfo> kernels, bool evaluates, const cli::Settings& settings,
                          int max_compiles) {
  CompilePlan plan{.updates = ceil_div(settings.steps, settings.accum_steps)};
  for (const model::KernelInfo& kernel : kernels) {
    plan.first_round += kernel.copies;
    plan.later_round += kernel.recompiled;
    if (evaluates && kernel.forward) plan.forward += kernel.recompiled;
  }
  plan.smallest_budget = plan.first_round + (settings.pipeline ? plan.later_round : 0);
  if (plan.updates == 0 || plan.smallest_budget > max_compiles || plan.later_round == 0) return plan;

  const std::int64_t left = max_compiles - plan.first_round;
  const std::int64_t a_process = 1 + left / plan.later_round;
  const std::int64_t at_start = settings.pipeline ? 1 : 0;  // two batches run with the initial parameters
  plan.restarts = ceil_div(std::max<std::int64_t>(plan.updates - at_start, 1), a_process) - 1;
  const std::int64_t of_the_last = plan.updates - plan.restarts * a_process - at_start;
  if (left - (of_the_last - 1) * plan.later_round < plan.forward) ++plan.restarts;
  return plan;
}

void check_pipeline(std::span<const model::KernelInfo> kernels, const cli::Settings& settings,
                    const device::DeviceLimits& limits) {
  using device::CompileBudget;
  if (!settings.pipeline) return;
  const CompilePlan plan = plan_compiles(kernels, false, settings, CompileBudget::kUnlimited);
  const int two_sets = plan.first_round + plan.later_round;
  const auto refuse = [&](const std::string& reason) {
    throw UsageError(
        fmt::format("--pipeline keeps two sets of kernels, here {} and {}: {}. Use --plan merged, which has fewer, or "
                    "omit --pipeline",
                    plan.first_round, plan.later_round, reason));
  };
  if (two_sets > limits.programs) {
    refuse(fmt::format("{} programs, but the ANE loads at most {} at once", two_sets, limits.programs));
  }
  if (two_sets > limits.hard_compiles) {
    refuse(fmt::format("{} compiles in one process, but the ANE's compiler allows about {}", two_sets,
                       limits.hard_compiles));
  }
}

void check_programs(std::span<const model::KernelInfo> kernels, const cli::Settings& settings,
                    const device::Device& device) {
  if (device.compile_workers() == 0) return;
  const int needed = plan_compiles(kernels, false, settings, device::CompileBudget::kUnlimited).first_round;
  if (const int most = device.limits().programs; needed > most)
    throw UsageError(
        fmt::format("one update needs {} programs, but the ANE loads at most {} at once. Use --plan merged, "
                    "--weights dynamic or --lora",
                    needed, most));
}

std::string weights_text(const cli::Settings& settings) {
  if (settings.pipeline) return "baked, compiled during the steps: each batch was stale by one update";
  if (settings.weights == cli::WeightsChoice::dynamic) return "dynamic, part of the kernels' input";
  return "baked";
}

}  // namespace ane::app
