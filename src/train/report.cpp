#include "ane/train/report.h"

#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "ane/train/clock.h"

namespace ane::train {

namespace {

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }
double mb(std::size_t bytes) { return static_cast<double>(bytes) / 1e6; }

double percent(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

double mean_ms(std::int64_t ns, std::int64_t count) {
  return count > 0 ? milliseconds(ns) / static_cast<double>(count) : 0;
}

/// Lines of a label, padded as in the field's drivers, and a text.
class Lines {
 public:
  template <class... Args>
  void add(std::string_view label, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), "{:<17}", fmt::format("{}:", label));
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  std::string text_ = "=== Efficiency Report ===\n";
};

void add_rates(Lines& lines, const RunReport& report) {
  const Rates rates = sustained_rates(report.flops_per_step, report.totals.steps, report.totals.train_ns);
  if (!report.peak_tflops) {
    lines.add("Host TFLOPS", "{:.3f} sustained", rates.total);
    return;
  }
  lines.add("ANE TFLOPS", "{:.2f} sustained", rates.device);
  lines.add("Total TFLOPS", "{:.2f} (ANE+CPU)", rates.total);
  lines.add("ANE utilization", "{:.1f}% of {:.1f} TFLOPS", 100 * rates.device / *report.peak_tflops,
            *report.peak_tflops);
}

void add_step_parts(Lines& lines, const RunTotals& totals) {
  const std::int64_t steps = totals.steps;
  lines.add("Step parts", "ane={:.1f} io={:.1f} cls={:.1f} elem={:.1f} rms={:.1f} cblas_wait={:.1f} ms/step",
            mean_ms(totals.ane_ns, steps), mean_ms(totals.io_ns, steps), mean_ms(totals.classifier_ns, steps),
            mean_ms(totals.elementwise_ns, steps), mean_ms(totals.rms_norm_ns, steps),
            mean_ms(totals.blas_wait_ns, steps));
}

std::string rounds(std::int64_t count, std::string_view kind) {
  return fmt::format("{} {} round{}", count, kind, count == 1 ? "" : "s");
}

void add_counts(Lines& lines, const RunReport& report) {
  const RunTotals& totals = report.totals;
  std::string made_in = rounds(totals.compile_rounds, "training");
  if (totals.forward_compile_rounds > 0) made_in += ", " + rounds(totals.forward_compile_rounds, "forward");
  std::string compiles = fmt::format("{}", totals.compiles);
  if (totals.worker_compiles > 0)
    compiles = fmt::format("{} by workers{}", totals.worker_compiles,
                           totals.compiles > 0 ? fmt::format(", {} by the run's processes", totals.compiles) : "");
  lines.add("Compiles", "{} ({})", compiles, made_in);
  if (totals.skipped_updates > 0) lines.add("Skipped updates", "{}", totals.skipped_updates);
  lines.add("Surfaces", "{} created, {} reused, {} released; {} live ({:.1f} MB), {} pooled ({:.1f} MB)",
            totals.surfaces_created, totals.surfaces_reused, totals.surfaces_released, report.surfaces.live,
            mb(report.surfaces.live_bytes), report.surfaces.pooled, mb(report.surfaces.pooled_bytes));
  lines.add("Peak memory", "{:.1f} MB", mb(static_cast<std::size_t>(totals.peak_memory_bytes)));
}

}  // namespace

Rates sustained_rates(const model::Flops& flops_per_step, std::int64_t steps, std::int64_t train_ns) noexcept {
  if (train_ns <= 0) return {};
  const double steps_per_ns = static_cast<double>(steps) / static_cast<double>(train_ns);
  return {.device = flops_per_step.on_device() * steps_per_ns / 1e3,
          .total = flops_per_step.total() * steps_per_ns / 1e3};
}

std::string efficiency_report(const RunReport& report) {
  const RunTotals& totals = report.totals;
  const std::int64_t wall = report.wall_ns;
  const std::int64_t other = wall - totals.startup_ns - totals.compile_ns - totals.weights_ns - totals.train_ns -
                             totals.validation_ns - totals.sampling_ns - totals.checkpoint_ns - totals.restart_ns -
                             totals.exchange_ns;
  Lines lines;
  const auto add_part = [&](std::string_view label, std::int64_t ns, std::string_view note = {}) {
    lines.add(label, "{:.0f} ms ({:.1f}%){}", milliseconds(ns), percent(ns, wall), note);
  };
  lines.add("Device", "{}", report.device);
  if (!report.weights.empty()) lines.add("Weights", "{}", report.weights);
  lines.add("Total steps", "{}{}", totals.steps - totals.dropped_steps,
            totals.dropped_steps > 0 ? fmt::format(", and {} of an update that was not completed", totals.dropped_steps)
                                     : std::string());
  lines.add("Wall time", "{:.0f} ms ({:.1f} s)", milliseconds(wall), seconds(wall));
  add_part("Compile time", totals.compile_ns,
           totals.hidden_compile_ns > 0
               ? fmt::format(", and {:.0f} ms during the steps", milliseconds(totals.hidden_compile_ns))
               : std::string());
  if (totals.weights_ns > 0) add_part("Weight loads", totals.weights_ns);
  add_part("Train time", totals.train_ns);
  add_part("Validation", totals.validation_ns);
  if (totals.sampling_ns > 0) add_part("Samples", totals.sampling_ns);
  add_part("Checkpoints", totals.checkpoint_ns);
  if (totals.exchanged_bytes > 0)
    add_part("Exchange", totals.exchange_ns,
             fmt::format(", {:.2f} MB sent per update",
                         static_cast<double>(totals.exchanged_bytes) / 1e6 / static_cast<double>(totals.updates)));
  add_part("Restarts", totals.restart_ns,
           fmt::format(", {} of {:.1f} ms", totals.restarts, mean_ms(totals.restart_ns, totals.restarts)));
  add_part("Startup", totals.startup_ns);
  add_part("Other", other);
  lines.add("Avg train", "{:.1f} ms/step", mean_ms(totals.train_ns, totals.steps));
  add_rates(lines, report);
  add_step_parts(lines, totals);
  add_counts(lines, report);
  return std::move(lines).take();
}

std::string compile_hint(const RunReport& report, int kernels) {
  constexpr int kWorthAWord = 3;  // a third
  const RunTotals& totals = report.totals;
  const std::int64_t compiles = totals.compiles + totals.worker_compiles;
  if (compiles <= kernels || totals.compile_ns <= report.wall_ns / kWorthAWord) return {};
  const std::int64_t needed = totals.compile_ns / compiles * kernels;
  return fmt::format(
      "Hint: {:.0f}% of the time was spent on {} compiles; --weights dynamic needs {}, once, and would have saved "
      "about {:.1f} s of {:.1f} s if its steps take as long",
      percent(totals.compile_ns, report.wall_ns), compiles, kernels, seconds(totals.compile_ns - needed),
      seconds(report.wall_ns));
}

}  // namespace ane::train
