#include "ane/app/run_prediction.h"

#include <algorithm>

#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/core/checked.h"

namespace ane::app {
namespace {

constexpr double kSecondsPerMinute = 60;

/// The time of `sequences` of which `parts.slots` run at once.
double batch_seconds(std::int64_t sequences, const PartTimes& parts, double seconds_at_once) {
  return static_cast<double>(ceil_div(sequences, static_cast<std::int64_t>(parts.slots))) * seconds_at_once;
}

/// All steps, in updates of accum_steps sequences, of which the last one may have fewer.
double steps_seconds(const PartTimes& parts, const cli::Settings& settings) {
  const std::int64_t whole = settings.steps / settings.accum_steps;
  return static_cast<double>(whole) * batch_seconds(settings.accum_steps, parts, parts.step_s) +
         batch_seconds(settings.steps % settings.accum_steps, parts, parts.step_s);
}

/// How often a run validates, and how long it takes.
void add_validations(RunPrediction& prediction, const PartTimes& parts, const CompilePlan& compiles,
                     const cli::Settings& settings, std::size_t held_out) {
  auto sequences = static_cast<std::int64_t>(held_out);
  if (settings.val_samples > 0) sequences = std::min(sequences, settings.val_samples);
  if (sequences == 0 || compiles.updates == 0) return;
  const std::int64_t during = settings.val_every > 0 ? (compiles.updates - 1) / settings.val_every : 0;
  prediction.validations = during + 1;
  prediction.validations_s =
      static_cast<double>(prediction.validations) * batch_seconds(sequences, parts, parts.evaluation_s);
}

std::string seconds_text(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", 1e3 * seconds);
  return seconds < kSecondsPerMinute ? fmt::format("{:.1f} s", seconds) : cli::clock_text(seconds);
}

}  // namespace

RunPrediction predict_run(const PartTimes& parts, const CompilePlan& compiles, const cli::Settings& settings,
                          std::size_t held_out, bool is_compiled_beside) {
  RunPrediction prediction;
  const auto updates = static_cast<double>(compiles.updates);
  const double batch_s = batch_seconds(settings.accum_steps, parts, parts.step_s);
  const double hidden_s = settings.pipeline && is_compiled_beside ? std::min(batch_s, parts.later_round_s) : 0;
  const double round_s = parts.later_round_s - hidden_s;
  prediction.update_s = batch_s + parts.optimizer_s + round_s;
  add_validations(prediction, parts, compiles, settings, held_out);
  if (compiles.updates == 0) return prediction;
  prediction.training_s = steps_seconds(parts, settings) + updates * parts.optimizer_s;
  const auto restarts = static_cast<double>(compiles.restarts);
  prediction.restarts_s = (restarts + 1) * (parts.startup_s + parts.warm_up_s);
  prediction.compiles_s = (restarts + 1) * parts.first_round_s + std::max(updates - 1 - restarts, 0.0) * round_s;
  if (compiles.later_round > 0 && prediction.validations > 0)
    prediction.compiles_s += parts.later_round_s * compiles.forward / compiles.later_round;
  prediction.checkpoint_s = parts.checkpoint_s;
  return prediction;
}

std::vector<std::string> prediction_lines(const PartTimes& parts, const RunPrediction& prediction,
                                          const cli::Settings& settings) {
  const auto slots = static_cast<double>(parts.slots);
  std::string measured = fmt::format("Measured: {:.1f} ms per sequence, optimizer {:.1f} ms, compile round {:.1f} ms",
                                     1e3 * parts.step_s / slots, 1e3 * parts.optimizer_s, 1e3 * parts.later_round_s);
  if (parts.evaluation_s > 0)
    measured += fmt::format(", held-out sequence {:.1f} ms", 1e3 * parts.evaluation_s / slots);
  std::string predicted = fmt::format("Predicted: {} per update", seconds_text(prediction.update_s));
  if (settings.steps > 0) {
    predicted += fmt::format("; {} for the run: training {}, compiles {}, starting processes {}",
                             seconds_text(prediction.total_s()), seconds_text(prediction.training_s),
                             seconds_text(prediction.compiles_s), seconds_text(prediction.restarts_s));
    if (prediction.validations > 0)
      predicted += fmt::format(", {} validation{} {}", prediction.validations, prediction.validations == 1 ? "" : "s",
                               seconds_text(prediction.validations_s));
    if (prediction.checkpoint_s > 0)
      predicted += fmt::format(", the last checkpoint {}", seconds_text(prediction.checkpoint_s));
  }
  if (settings.max_minutes > 0)
    predicted += fmt::format("; about {:.0f} updates in {:g} minutes without validations",
                             kSecondsPerMinute * settings.max_minutes / prediction.update_s, settings.max_minutes);
  return {measured, predicted};
}

}  // namespace ane::app
