#include "ane/app/plan_command.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/app/compose.h"
#include "ane/app/fine_tuning.h"
#include "ane/app/known_engine.h"
#include "ane/app/model_choice.h"
#include "ane/app/option_values.h"
#include "ane/app/part_times.h"
#include "ane/app/rank_plan.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/distributed/communicator.h"
#include "ane/model/models.h"
#include "ane/train/optimizer.h"

namespace ane::app {
namespace {

/// The settings that decide what an update costs.
constexpr std::array<std::string_view, 32> kPlanSettings = {
    "config", "model",        "lora",     "lora-alpha", "lora-targets", "lora-rs",   "freeze",
    "family", "dim",          "hidden",   "layers",     "heads",        "kv-heads",  "head-dim",
    "vocab",  "seq",          "tied",     "rope-theta", "norm-eps",     "optimizer", "accum-steps",
    "device", "plan",         "rope",     "weights",    "precision",    "threads",   "parallel-sequences",
    "seed",   "surface-pool", "momentum", "packing"};

constexpr int kMostRanks = 4096;
constexpr double kBackward = 2.0 / 3;  ///< of a sequence's time, if it is not measured

/// Bytes per second of "10Gb", "800Mb" (bits per second) or "2.5GB" (bytes per second).
double bytes_per_s(const std::string& link) {
  const auto wrong = [&] {
    return UsageError(fmt::format(
        "--link: '{}' is not a speed such as 1Gb, 10Gb, 40Gb (bits per second) or 2.5GB (bytes per second)", link));
  };
  const std::size_t unit = link.find_first_not_of("0123456789.");
  if (unit == std::string::npos) throw wrong();
  const std::optional<double> number = cli::parse_real(link.substr(0, unit));
  std::string_view rest = std::string_view(link).substr(unit);
  for (const std::string_view suffix : {"it/s", "ps", "/s"})
    if (rest.ends_with(suffix)) rest.remove_suffix(suffix.size());
  constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
      {{"Mb", 1e6 / 8}, {"Gb", 1e9 / 8}, {"Tb", 1e12 / 8}, {"MB", 1e6}, {"GB", 1e9}, {"kB", 1e3}}};
  for (const auto& [name, factor] : kUnits)
    if (rest == name && number && *number > 0) return *number * factor;
  throw wrong();
}

/// Of a sequence, of new weights for the kernels, and of an update of all parameters.
void measure(RunContext& context, const cli::Settings& settings, UpdateCosts& costs) {
  const PartTimes parts = measure_parts(context, *make_source(settings, false), /*later_rounds=*/0);
  costs.sequence_s = parts.step_s / static_cast<double>(parts.slots);
  costs.backward_s = parts.backward_s;
  costs.refresh_s = parts.later_round_s;
  costs.optimizer_s = parts.optimizer_s;
}

/// Sizes of what is trained, in and outside layers.
UpdateCosts costs_of(const model::ParameterLayout& layout, const cli::Settings& settings) {
  UpdateCosts costs{.sequences = settings.accum_steps, .layers = 0};
  const train::Partition segments(layout, 1, 0);
  for (const train::Partition::Segment& segment : segments.segments()) {
    const double bytes = static_cast<double>(segment.bounds.back() - segment.bounds.front()) * sizeof(float);
    (segment.layer ? costs.layer_bytes : costs.layers == 0 ? costs.input_bytes : costs.output_bytes) += bytes;
    costs.layers += segment.layer ? 1 : 0;
  }
  return costs;
}

void print_formula(const UpdateCosts& costs, const Link& link, cli::Terminal& terminal) {
  terminal.print(fmt::format(
      "A sequence takes {:.1f} ms, of which {:.1f} ms follow when the last layer's gradients are "
      "complete; new weights for the kernels {:.1f} ms, the optimizer {:.1f} ms per update of {} "
      "sequences",
      1e3 * costs.sequence_s, 1e3 * costs.backward_s, 1e3 * costs.refresh_s, 1e3 * costs.optimizer_s, costs.sequences));
  terminal.print(fmt::format(
      "Trained parameters: {} before the layers, {} in them, {} after them; link: {} per second, latency {:.0f} us",
      cli::human_bytes(costs.input_bytes), cli::human_bytes(costs.layer_bytes), cli::human_bytes(costs.output_bytes),
      cli::human_bytes(link.bytes_per_s), 1e6 * link.latency_s));
  terminal.print("Time of an update on N ranks:");
  terminal.print("  compute   = ceil(sequences / N) x time of a sequence + new weights");
  terminal.print("  optimizer = its time / N");
  terminal.print("  send(b)   = (N - 1) / N x b / (0.95 x link), and a latency for each MB of b / N");
  terminal.print("  exchange  = send(gradients) - hidden + send(parameters)");
  terminal.print(
      "  hidden    = what is sent of the gradients, except those before the layers and in the first one, while");
  terminal.print("              the backward pass goes on");
}

void print_table(const UpdateCosts& costs, const Link& link, int ranks, cli::Terminal& terminal) {
  const double alone = predict_update(costs, 1, link).total_s();
  std::vector<int> rows = {1, 2, 4, 8, 16, 32, 64};
  if (std::ranges::count(rows, ranks) == 0) rows.insert(std::ranges::upper_bound(rows, ranks), ranks);
  terminal.print("");
  terminal.print("ranks   update ms  compute  optimizer  exchange  hidden  MB sent  speedup  efficiency");
  for (const int count : rows) {
    const RankPrediction row = predict_update(costs, count, link);
    const double speedup = alone / row.total_s();
    const auto elements = static_cast<std::size_t>(costs.bytes() / sizeof(float));
    terminal.print(fmt::format("{:>5}{}{:>11.1f}{:>9.1f}{:>11.1f}{:>10.1f}{:>8.1f}{:>9.2f}{:>9.2f}{:>11.0f}%", count,
                               count == ranks ? "*" : " ", 1e3 * row.total_s(), 1e3 * row.compute_s,
                               1e3 * row.optimizer_s, 1e3 * row.exchange_s(), 1e3 * row.hidden_s,
                               distributed::bytes_per_update(elements, count) / 1e6, speedup, 100 * speedup / count));
  }
}

/// Says what limits the speed on `ranks` ranks.
std::string limit_text(const UpdateCosts& costs, const Link& link, int ranks) {
  const RankPrediction at = predict_update(costs, ranks, link);
  if (at.exchange_s() <= at.compute_s / 10)
    return fmt::format("On {} ranks, the exchange takes {:.0f} % of an update.", ranks,
                       100 * at.exchange_s() / at.total_s());
  const double others = (costs.input_bytes + costs.output_bytes) / costs.bytes();
  const std::string cause =
      others > 1.0 / 4 ? fmt::format(
                             "embedding and classifier are {:.0f} % of what is sent, and the embedding's gradients are "
                             "complete only when the backward pass ends",
                             100 * others)
                       : std::string("all parameters are sent after every update");
  return fmt::format(
      "On {} ranks, the link takes {:.0f} % of an update: {}. More --accum-steps, a faster link or --lora "
      "reduce that.",
      ranks, 100 * at.exchange_s() / at.total_s(), cause);
}

}  // namespace

cli::Command plan_options() {
  using Kind = cli::CommandOption::Kind;
  cli::Command command{"plan", "Predicts the speed of a run on several machines.", {}};
  for (const std::string_view name : kPlanSettings) command.options.push_back(cli::option_of(cli::setting(name)));
  command.options.push_back({Kind::value, "ranks", "N", "number of machines to plan for [2]"});
  command.options.push_back(
      {Kind::value, "link", "SPEED",
       "speed of the network between two of them: 1Gb, 10Gb, 40Gb (bits per second), 2.5GB (bytes per second) [1Gb]"});
  command.options.push_back(
      {Kind::value, "latency", "US", "time of a small message in one direction, in microseconds [100]"});
  command.options.push_back(
      {Kind::value, "step-time", "MS", "time of a sequence on one machine, in milliseconds [measured here]"});
  return command;
}

int plan_command(const cli::FlagValues& flags, const Invocation& invocation) {
  cli::Terminal terminal;
  const OptionValues values(flags);
  const int ranks = static_cast<int>(values.whole("ranks", 1, kMostRanks, 2));
  const std::string speed = values.text("link");
  const Link link{.bytes_per_s = bytes_per_s(speed.empty() ? "1Gb" : speed),
                  .latency_s = 1e-6 * values.number("latency", 0, 1e7, 100)};
  cli::LoadedSettings loaded = cli::load_settings(values.settings(kPlanSettings), invocation.environment);
  adopt_model_file(loaded);
  adopt_adapter(loaded);
  for (const std::string& warning : loaded.warnings) terminal.warn(warning);
  cli::Settings settings = loaded.values;
  settings.pipeline = false;
  settings.data = data::kSynthetic;
  RunContext context = make_run_context(settings, engine_instruments(settings, invocation), open_base_model(settings));
  UpdateCosts costs = costs_of(context.model->parameters(), context.settings);
  const double given_ms = values.number("step-time", 1e-6, 1e9, 0);
  if (given_ms > 0) {
    costs.sequence_s = given_ms / 1e3;
    costs.backward_s = kBackward * costs.sequence_s;
  } else {
    measure(context, context.settings, costs);
  }
  print_formula(costs, link, terminal);
  print_table(costs, link, ranks, terminal);
  terminal.print("");
  terminal.print(limit_text(costs, link, ranks));
  return 0;
}

}  // namespace ane::app
