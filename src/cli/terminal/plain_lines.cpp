#include "ane/cli/plain_lines.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "ane/cli/lines.h"
#include "ane/cli/text.h"
#include "ane/core/checked.h"
#include "ane/train/optimizer.h"

namespace ane::cli {
namespace {

/// With `decimals`, or in scientific notation if that would leave fewer than two digits.
std::string number(double value, int decimals) {
  const double size = std::abs(value);
  const bool is_tiny = size > 0 && size < std::pow(10.0, 1 - decimals);
  return is_tiny ? fmt::format("{:.1e}", value) : fmt::format("{:.{}f}", signless(value), decimals);
}

/// "update 5/20", or "update 5" if their number is not known.
std::string update_text(std::int64_t update, std::int64_t updates) {
  return updates == 0 ? fmt::format("update {}", update) : fmt::format("update {}/{}", update, updates);
}

std::string bits_text(double loss, double bytes_per_token) {
  return fmt::format("{:.2f} bits/byte", signless(loss / std::numbers::ln2 / bytes_per_token));
}

std::string validation_text(const train::ValidationEvent& event, std::optional<double> bytes_per_token) {
  std::string text = fmt::format(" | val {}{}", number(event.loss, 3), event.is_best() ? " (best)" : "");
  if (bytes_per_token) text += " " + bits_text(event.loss, *bytes_per_token);
  return text;
}

}  // namespace

std::vector<std::string> plain_header(const RunFacts& run) {
  const model::ModelSummary summary = run.model.summary();
  const auto parameters = static_cast<double>(summary.transformer_parameters + summary.embedding_parameters);
  std::vector<std::string> lines = {
      fmt::format("Model: {}, {:.2f}M parameters", model::dashboard_line(run.model.config()), parameters / 1e6),
      fmt::format("Device: {}", run.device)};
  if (const std::string text = trained_text(summary); !text.empty()) lines.push_back(fmt::format("Trained: {}", text));
  if (run.weights_line) lines.push_back(*run.weights_line);
  lines.push_back(data_line(run.source));
  if (const auto entropy = run.source.unigram_entropy())
    lines.push_back(fmt::format("Baseline: a model that knows only the frequencies of bytes has a loss of {:.2f} ({})",
                                *entropy, bits_text(*entropy, run.source.bytes_per_token().value_or(1))));
  lines.push_back(training_line(run.model, run.settings, run.first_step));
  return lines;
}

std::string training_line(const model::Model& model, const Settings& settings, std::int64_t first_step) {
  const std::int64_t steps = std::max<std::int64_t>(settings.steps - first_step, 0);
  const std::int64_t updates = ceil_div(steps, settings.accum_steps);
  const std::string count = settings.steps > 0 ? fmt::format("{} ", updates) : "";  // a dry run may not know it
  const std::int64_t sequences = updates == 1 ? steps : settings.accum_steps;
  const std::string time = settings.max_minutes > 0 ? fmt::format(", at most {} min", settings.max_minutes) : "";
  return fmt::format("Training: {}update{} of {} sequence{} ({} tokens each){}; {}, learning rate {:.1e}", count,
                     updates == 1 ? "" : "s", sequences, sequences == 1 ? "" : "s",
                     sequences * static_cast<std::int64_t>(model.config().seq_len), time,
                     train::optimizer_info(settings.optimizer.kind).title, settings.optimizer.lr);
}

std::string update_line(const train::UpdateLine& line, const train::ValidationEvent* validation,
                        std::optional<double> bytes_per_token) {
  std::string text = update_text(line.update, line.updates);
  if (line.epoch > 0) text += fmt::format(" | epoch {:.2f}", line.epoch);
  text += fmt::format(" | train {}", number(line.train_loss, 3));
  if (validation != nullptr) text += validation_text(*validation, bytes_per_token);
  text += fmt::format(" | lr {:.1e} | grad {} | {} tok/s", line.lr, number(line.grad_norm, 2),
                      count_text(line.tokens_per_second));
  return line.updates == 0 ? text : text + fmt::format(" | {} left", clock_text(line.seconds_left));
}

std::string lone_validation_line(const train::ValidationEvent& validation, std::int64_t updates,
                                 std::optional<double> bytes_per_token) {
  return update_text(validation.update, updates) + validation_text(validation, bytes_per_token);
}

std::string rise_line(const train::BestValidation& best) {
  return fmt::format(
      "The last {} validations were worse than the best ({} at update {}): the model may be "
      "overfitting, or the learning rate may be too high",
      best.above, number(best.loss, 3), best.update);
}

}  // namespace ane::cli
