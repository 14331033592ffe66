#include "ane/app/dry_run.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/app/compose.h"
#include "ane/app/known_engine.h"
#include "ane/app/model_choice.h"
#include "ane/app/packing_choice.h"
#include "ane/app/part_times.h"
#include "ane/app/plan.h"
#include "ane/app/recording_device.h"
#include "ane/app/run_prediction.h"
#include "ane/app/text_sampler.h"
#include "ane/app/vocabulary.h"
#include "ane/app/weights_choice.h"
#include "ane/cli/lines.h"
#include "ane/cli/plain_lines.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/device/budget.h"
#include "ane/mil/ane_rules.h"
#include "ane/mil/text.h"
#include "ane/train/clock.h"

namespace ane::app {
namespace {

std::string ports_text(const mil::Function& main, const std::vector<mil::ValueId>& ports) {
  std::vector<std::string> texts;
  texts.reserve(ports.size());
  for (const mil::ValueId id : ports) {
    texts.push_back(fmt::format("{} {}", main.value(id).name, mil::to_string(main.value(id).type)));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// Shortens "self_attn.q_proj.weight" to "q_proj" for the table.
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

void add_compiles(const CompilePlan& plan, bool validates, const cli::Settings& settings, const device::Device& device,
                  std::vector<std::string>& lines) {
  const int max_compiles = compile_limit(settings, device);
  std::string compiles = fmt::format("Compiles: {} for the first update", plan.first_round);
  if (plan.later_round != plan.first_round)
    compiles += fmt::format(", {} for each further one in the same process", plan.later_round);
  if (plan.forward > 0)
    compiles += fmt::format(", {} for the {} at the end", plan.forward,
                            !validates                  ? "sample"
                            : settings.sample_every > 0 ? "validation and the sample"
                                                        : "validation");
  lines.push_back(compiles);
  if (device.compile_workers() > 0) {
    lines.push_back(fmt::format("Restarts: none, because workers compile ({} at a time)", device.compile_workers()));
  } else if (max_compiles == device::CompileBudget::kUnlimited) {
    lines.emplace_back("Restarts: none, because this device does not limit compiles");
  } else if (plan.smallest_budget > max_compiles) {
    lines.push_back(fmt::format(
        "Restarts: would not help, because {} needs {} compiles, but a process may make {} (--max-compiles)",
        settings.pipeline ? "a pipeline" : "one update", plan.smallest_budget, max_compiles));
  } else if (plan.updates > 0) {
    lines.push_back(fmt::format("Restarts: {} for {} updates ({} steps), with {} compiles per process", plan.restarts,
                                plan.updates, settings.steps, max_compiles));
  }
}

/// The compiles of a first update in each mode, and which modes one process suffices for. Where nothing limits
/// compiles, the default limit of the engine is taken.
void add_modes(const cli::Settings& settings, const device::Device& device, std::vector<std::string>& lines) {
  const int limit = std::min(compile_limit(settings, device),
                             device.limits().measured_compiles.value_or(device::CompileBudget::kDefault));
  std::vector<std::string> modes;
  for (const model::WeightMode weights : {model::WeightMode::baked, model::WeightMode::dynamic}) {
    for (const model::PlanChoice plan : {model::PlanChoice::split, model::PlanChoice::merged}) {
      cli::Settings mode = settings;
      mode.plan = plan;
      const std::int64_t compiles = compiles_of(make_plan(mode, weights), settings.layers);
      modes.push_back(fmt::format("{} {} {}{}", weights == model::WeightMode::baked ? "baked" : "dynamic",
                                  plan == model::PlanChoice::split ? "split" : "merged", compiles,
                                  compiles > limit ? " (too many)" : ""));
    }
  }
  lines.push_back(fmt::format("Compiles of a first update by mode: {}; on the Neural Engine, a process may make {}",
                              fmt::join(modes, ", "), limit));
}

void add_memory(const MemoryNeed& need, const std::optional<AvailableMemory>& available,
                std::vector<std::string>& lines) {
  const std::string workspace =
      need.optimizer_workspace > 0 ? fmt::format(", optimizer workspace {}", cli::human_bytes(need.optimizer_workspace))
                                   : "";
  lines.push_back(fmt::format("Memory: about {} (state {}, gradients {}, {} weights {}, activations {}, surfaces {}{})",
                              cli::human_bytes(need.total()), cli::human_bytes(need.state),
                              cli::human_bytes(need.gradients), need.weights_are_input ? "kernels'" : "baked",
                              cli::human_bytes(need.weights), cli::human_bytes(need.activations),
                              cli::human_bytes(need.surfaces), workspace));
  if (!available) return;
  lines.push_back(fmt::format("Available: {} ({}){}", cli::human_bytes(static_cast<double>(available->bytes)),
                              available->limit, fits(need, *available) ? "" : ": not enough for this model"));
}

/// The output: kernels, ANE rules that they break, compiles and restarts, memory.
std::vector<std::string> dry_run_lines(const RunContext& context, const data::Source& source) {
  const cli::Settings& settings = context.settings;
  const std::vector<model::KernelInfo> kernels = context.model->kernels().infos();
  std::vector<std::string> lines = cli::size_lines(*context.model, kernels);
  lines.push_back(cli::training_line(*context.model, settings));
  for (std::string& line : cli::flops_lines(context.model->summary().flops_per_step)) lines.push_back(std::move(line));
  lines.push_back(fmt::format("Device: {}", context.device_text()));
  if (const auto line = weights_line(context.weights)) lines.push_back(*line);
  if (const auto line = packing_line(context.packing, settings)) lines.push_back(*line);
  for (std::string& line : adapted_lines(context.adaptation)) lines.push_back(std::move(line));
  lines.push_back(fmt::format("Data: {}", source.description()));
  lines.emplace_back("Kernels of a layer's step:");
  add_plan_table(kernels, lines);
  for (const model::KernelInfo& kernel : kernels) add_kernel(kernel, *context.device, lines);
  const int max_compiles = compile_limit(settings, *context.device);
  const bool validates = source.validation_count() > 0;
  add_compiles(plan_compiles(kernels, validates || settings.sample_every > 0, settings, max_compiles), validates,
               settings, *context.device, lines);
  if (settings.sample_every > 0)
    lines.push_back(fmt::format("Samples: after every {} updates, up to {} forward passes with the training kernels",
                                settings.sample_every, settings.sample_tokens));
  if (settings.family != model::Family::mlp) add_modes(settings, *context.device, lines);
  add_memory(memory_need(*context.model, settings, *context.device), context.available_memory, lines);
  return lines;
}

/// Measures the parts of the run and predicts its time. `started_ns`: when the process started.
std::vector<std::string> time_lines(RunContext& context, const data::Source& source, std::int64_t started_ns) {
  const double startup_s = 1e-9 * static_cast<double>(train::monotonic_ns() - started_ns);
  const cli::Settings& settings = context.settings;
  const std::vector<model::KernelInfo> kernels = context.model->kernels().infos();
  const MemoryNeed need = memory_need(*context.model, settings, *context.device);
  const int max_compiles = compile_limit(settings, *context.device);
  const CompilePlan compiles = plan_compiles(kernels, source.validation_count() > 0, settings, max_compiles);
  if (context.available_memory && !fits(need, *context.available_memory))
    return {"Time: not measured, because there is not enough memory"};
  if (compiles.smallest_budget > max_compiles)
    return {"Time: not measured, because a process may not make enough compiles"};
  const int left = max_compiles - compiles.first_round;
  PartTimes parts = measure_parts(context, source, compiles.later_round > 0 ? left / compiles.later_round : left);
  parts.startup_s = startup_s;
  const RunPrediction prediction =
      predict_run(parts, compiles, settings, source.validation_count(), !context.device->shares_cpu());
  return prediction_lines(parts, prediction, settings);
}

/// Writes DIR/NAME/model.mil for each kind of kernel, without weights. Throws FileError.
void dump_programs(std::span<const model::KernelInfo> kernels, const std::string& directory) {
  for (const model::KernelInfo& kernel : kernels) {
    write_kernel_files(std::filesystem::path(directory) / kernel.name, mil::print(kernel.program), {});
  }
}

}  // namespace

int dry_run(cli::Settings settings, const DataPreparation& preparation, std::int64_t started_ns) {
  cli::Terminal terminal;
  RunContext context = make_run_context(settings,
                                        {.adaptation = known_engine(settings, preparation.environment).adaptation(),
                                         .workers = WorkerStart{.environment = preparation.environment}},
                                        open_base_model(settings));
  const std::vector<model::KernelInfo> kernels = context.model->kernels().infos();
  if (context.device->limits_compiles()) check_pipeline(kernels, context.settings, context.device->limits());
  check_programs(kernels, context.settings, *context.device);
  const std::unique_ptr<data::Source> source =
      make_source(settings, true, prepare_data(settings, preparation, terminal));
  if (const auto warning = source->warning()) terminal.warn(*warning);
  if (settings.sample_every > 0) static_cast<void>(make_text_sampler(context, language_of(settings)));
  for (const std::string& line : dry_run_lines(context, *source)) terminal.print(line);
  if (settings.time)
    for (const std::string& line : time_lines(context, *source, started_ns)) terminal.print(line);
  if (!settings.dump_mil.empty()) dump_programs(kernels, settings.dump_mil);
  return 0;
}

}  // namespace ane::app
