#include "ane/app/plan.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/app/weights_choice.h"
#include "ane/cli/lines.h"
#include "ane/cli/text.h"
#include "ane/core/checked.h"
#include "ane/core/error.h"
#include "ane/device/budget.h"
#include "ane/mil/ane_rules.h"
#include "ane/mil/text.h"
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

std::string ports_text(const mil::Function& main, const std::vector<mil::ValueId>& ports) {
  std::vector<std::string> texts;
  texts.reserve(ports.size());
  for (const mil::ValueId id : ports) {
    texts.push_back(fmt::format("{} {}", main.value(id).name, mil::to_string(main.value(id).type)));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// Shortens "attention.wq.weight" to "wq" for the table.
std::string short_name(std::string_view parameter) {
  parameter = parameter.substr(0, parameter.rfind('.'));
  return std::string(parameter.substr(parameter.rfind('.') + 1));
}

/// Adds the kernels of a layer's step, one per row, with inputs, outputs and taps.
void add_plan_table(std::span<const model::KernelInfo> kernels, std::vector<std::string>& lines) {
  using Row = std::array<std::string, 7>;
  std::vector<Row> rows = {{"phase", "kernel", "inputs", "outputs", "taps", "weights", "compiles"}};
  for (const model::KernelInfo& kernel : kernels) {
    std::vector<std::string> weights;
    for (const std::string& weight : kernel.weights) weights.push_back(short_name(weight));
    rows.push_back({kernel.phase, kernel.name, fmt::format("{}", fmt::join(kernel.inputs, " ")),
                    fmt::format("{}", fmt::join(kernel.outputs, " ")), fmt::format("{}", fmt::join(kernel.taps, " ")),
                    fmt::format("{}", fmt::join(weights, " ")), fmt::format("{}", kernel.copies)});
  }
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format(" {:<{}}", row[i], widths[i]);
    lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

void add_kernel(const model::KernelInfo& kernel, const device::Device& device, std::vector<std::string>& lines) {
  const mil::Function& main = kernel.program.main();
  lines.push_back(fmt::format("{} x{}: {} operations, {} weight files ({})", kernel.name, kernel.copies,
                              main.operations.size(), mil::blob_paths(kernel.program).size(),
                              cli::human_bytes(static_cast<double>(kernel.weight_bytes))));
  lines.push_back(fmt::format("  in  {}", ports_text(main, main.inputs)));
  lines.push_back(fmt::format("  out {}", ports_text(main, main.outputs)));
  for (const mil::Diagnostic& broken : device.check(kernel.program)) {
    lines.push_back(fmt::format("  {}", mil::to_string(broken)));
  }
}

void add_compiles(const CompilePlan& plan, const cli::Settings& settings, std::vector<std::string>& lines) {
  std::string compiles = fmt::format("Compiles: {} for the first update", plan.first_round);
  if (plan.later_round != plan.first_round)
    compiles += fmt::format(", {} for each further one in the same process", plan.later_round);
  if (plan.forward > 0) compiles += fmt::format(", {} for the validation at the end", plan.forward);
  lines.push_back(compiles);
  if (plan.smallest_budget > settings.max_compiles) {
    lines.push_back(
        fmt::format("Restarts: do not help: {} needs {} compiles, but a process may make {} (--max-compiles)",
                    settings.pipeline ? "a pipeline" : "one update", plan.smallest_budget, settings.max_compiles));
  } else if (plan.updates > 0) {
    lines.push_back(fmt::format("Restarts: {} for {} updates ({} steps), with {} compiles per process", plan.restarts,
                                plan.updates, settings.steps, settings.max_compiles));
  }
}

void add_memory(const MemoryNeed& need, const std::optional<AvailableMemory>& available,
                std::vector<std::string>& lines) {
  lines.push_back(fmt::format("Memory: about {} (state {}, gradients {}, {} weights {}, activations {}, surfaces {})",
                              cli::human_bytes(need.total()), cli::human_bytes(need.state),
                              cli::human_bytes(need.gradients), need.weights_are_input ? "kernels'" : "baked",
                              cli::human_bytes(need.weights), cli::human_bytes(need.activations),
                              cli::human_bytes(need.surfaces)));
  if (!available) return;
  lines.push_back(fmt::format("Available: {} ({}){}", cli::human_bytes(static_cast<double>(available->bytes)),
                              available->limit, fits(need, *available) ? "" : ": not enough for this model"));
}

}  // namespace

MemoryNeed memory_need(const model::Model& model, const cli::Settings& settings) {
  MemoryNeed need;
  const double sets = settings.pipeline ? 2 : 1;
  for (const model::KernelInfo& kernel : model.kernels().infos()) {
    const double copies = kernel.copies;
    need.weights += sets * copies * static_cast<double>(kernel.weight_bytes) + static_cast<double>(kernel.input_bytes);
    need.weights_are_input = need.weights_are_input || kernel.input_bytes > 0;
  }
  need.surfaces = surface_bytes(model.kernels().infos(), settings.layers) * static_cast<double>(model.batch_slots());
  need.gradients = static_cast<double>(model.parameters().size()) * sizeof(float);
  need.state = need.gradients * (sets + train::optimizer_moments(settings.optimizer));
  need.activations = static_cast<double>(model.summary().activation_bytes);
  return need;
}

bool fits(const MemoryNeed& need, const AvailableMemory& available) {
  return need.total() <= static_cast<double>(available.bytes);
}

std::optional<std::string> check_memory(const MemoryNeed& need, const std::optional<AvailableMemory>& available) {
  // Measured peaks were 1.0 (stories15m), 1.1 (stories110m) and 1.35 times the estimate (stories110m with dynamic
  // weights, of which the host keeps a converted copy), and never less.
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

CompilePlan plan_compiles(std::span<const model::KernelInfo> kernels, bool validates, const cli::Settings& settings) {
  CompilePlan plan{.updates = ceil_div(settings.steps, settings.accum_steps)};
  for (const model::KernelInfo& kernel : kernels) {
    plan.first_round += kernel.copies;
    if (kernel.has_weights) plan.later_round += kernel.copies;
    if (validates && kernel.forward && kernel.has_weights) plan.forward += kernel.copies;
  }
  plan.smallest_budget = plan.first_round + (settings.pipeline ? plan.later_round : 0);
  if (plan.updates == 0 || plan.smallest_budget > settings.max_compiles || plan.later_round == 0) return plan;

  const std::int64_t left = settings.max_compiles - plan.first_round;
  const std::int64_t a_process = 1 + left / plan.later_round;
  const std::int64_t at_start = settings.pipeline ? 1 : 0;  // two batches run with the initial parameters
  plan.restarts = ceil_div(std::max<std::int64_t>(plan.updates - at_start, 1), a_process) - 1;
  const std::int64_t of_the_last = plan.updates - plan.restarts * a_process - at_start;
  if (left - (of_the_last - 1) * plan.later_round < plan.forward) ++plan.restarts;
  return plan;
}

void check_pipeline(std::span<const model::KernelInfo> kernels, const cli::Settings& settings) {
  using device::CompileBudget;
  if (!settings.pipeline) return;
  const CompilePlan plan = plan_compiles(kernels, false, settings);
  const int two_sets = plan.first_round + plan.later_round;
  const auto refuse = [&](const std::string& reason) {
    throw UsageError(
        fmt::format("--pipeline keeps two sets of kernels, here {} and {}: {}. Use --plan merged, which has fewer, or "
                    "omit --pipeline",
                    plan.first_round, plan.later_round, reason));
  };
  if (two_sets > CompileBudget::kAneProgramLimit) {
    refuse(fmt::format("{} programs, but the ANE loads at most {} at once", two_sets, CompileBudget::kAneProgramLimit));
  }
  if (two_sets > CompileBudget::kAneHardLimit) {
    refuse(fmt::format("{} compiles in one process, but the ANE's compiler allows about {}", two_sets,
                       CompileBudget::kAneHardLimit));
  }
}

std::string weights_text(const cli::Settings& settings) {
  if (settings.pipeline) return "baked, compiled during the steps: each batch was stale by one update";
  if (settings.weights == cli::WeightsChoice::dynamic) return "dynamic, part of the kernels' input";
  return "baked";
}

std::vector<std::string> dry_run_lines(const cli::Settings& settings, RunContext& context, const data::Source& source) {
  const std::vector<model::KernelInfo> kernels = context.model().kernels().infos();
  std::vector<std::string> lines = cli::header_lines(context.model(), kernels, settings);
  lines.push_back(fmt::format("Device: {}", context.device_text()));
  if (const auto line = weights_line(context.weights())) lines.push_back(*line);
  lines.push_back(fmt::format("Data: {}", source.description()));
  lines.emplace_back("Kernels of a layer's step:");
  add_plan_table(kernels, lines);
  for (const model::KernelInfo& kernel : kernels) add_kernel(kernel, context.device(), lines);
  add_compiles(plan_compiles(kernels, source.validation_count() > 0, settings), settings, lines);
  add_memory(memory_need(context.model(), settings), context.available_memory(), lines);
  return lines;
}

void dump_programs(std::span<const model::KernelInfo> kernels, const std::string& directory) {
  for (const model::KernelInfo& kernel : kernels) {
    write_kernel_files(std::filesystem::path(directory) / kernel.name, mil::print(kernel.program), {});
  }
}

}  // namespace ane::app
