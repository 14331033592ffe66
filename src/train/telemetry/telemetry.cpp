#include "ane/train/telemetry.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ane::train {

namespace {

/// Preserves the order of fields.
using Record = nlohmann::ordered_json;

constexpr std::string_view kRecordStart = "{\"type\":";

double ms(Duration time) { return static_cast<double>(time.count()) / 1e6; }
double ms(std::int64_t ns) { return ms(Duration(ns)); }

std::string line(const Record& record) { return record.dump(-1, ' ', false, Record::error_handler_t::replace) + '\n'; }

Record optimizer_record(const OptimizerOptions& options) {
  return {{"kind", options.kind == OptimizerKind::adamw ? "adamw" : "sgd"},
          {"lr", options.lr},
          {"min_lr", options.min_lr},
          {"warmup", options.warmup},
          {"schedule", options.schedule == ScheduleKind::constant ? "constant" : "cosine"},
          {"beta1", options.beta1},
          {"beta2", options.beta2},
          {"eps", options.eps},
          {"weight_decay", options.weight_decay},
          {"grad_clip", options.grad_clip}};
}

Record rates_record(const Rates& rates, std::optional<double> peak_tflops) {
  if (!peak_tflops) return {{"host_tflops", rates.total}};
  return {{"ane_tflops", rates.device}, {"ane_util_pct", 100 * rates.device / *peak_tflops}};
}

}  // namespace

Telemetry::Telemetry(const std::filesystem::path& path, const model::Flops& flops_per_step,
                     std::optional<double> peak_tflops, AppendFile::Warn warn, std::optional<int> handed_over)
    : file_(path, "telemetry", std::move(warn), handed_over),
      flops_per_step_(flops_per_step),
      peak_tflops_(peak_tflops) {
  if (!handed_over) file_.mend_end(kRecordStart);
}

void Telemetry::run(const RunDescription& description) {
  const TrainOptions& options = description.options;
  file_.write(line({{"type", "run"},
                    {"version", description.version},
                    {"model", model::dashboard_line(description.model)},
                    {"config", Record::parse(model::to_json(description.model))},
                    {"device", description.device},
                    {"data", description.data},
                    {"seed", description.seed},
                    {"threads", description.threads},
                    {"max_compiles", description.max_compiles ? Record(*description.max_compiles) : Record()},
                    {"steps", options.steps},
                    {"accum_steps", options.accum_steps},
                    {"optimizer", optimizer_record(options.optimizer)}}));
}

void Telemetry::end(const std::string& outcome, const Progress& progress, const RunReport& report) {
  const RunTotals& totals = report.totals;
  Record record = {{"type", "end"},
                   {"outcome", outcome},
                   {"step", progress.step},
                   {"updates", progress.update},
                   {"skipped_updates", totals.skipped_updates},
                   {"loss", progress.last_loss},
                   {"wall_ms", ms(report.wall_ns)},
                   {"startup_ms", ms(totals.startup_ns)},
                   {"compile_ms", ms(totals.compile_ns)},
                   {"hidden_compile_ms", ms(totals.hidden_compile_ns)},
                   {"weights_ms", ms(totals.weights_ns)},
                   {"train_ms", ms(totals.train_ns)},
                   {"validation_ms", ms(totals.validation_ns)},
                   {"checkpoint_ms", ms(totals.checkpoint_ns)},
                   {"restart_ms", ms(totals.restart_ns)},
                   {"restarts", totals.restarts},
                   {"compiles", totals.compiles},
                   {"compile_rounds", totals.compile_rounds},
                   {"surfaces_created", totals.surfaces_created},
                   {"surfaces_reused", totals.surfaces_reused},
                   {"surfaces_released", totals.surfaces_released},
                   {"peak_memory_bytes", totals.peak_memory_bytes}};
  const Rates rates = sustained_rates(report.flops_per_step, totals.steps, totals.train_ns);
  record.update(rates_record(rates, report.peak_tflops));
  file_.write(line(record));
}

void Telemetry::on_step(const StepEvent& event) {
  file_.write(line({{"type", "step"},
                    {"step", event.step},
                    {"loss", event.loss},
                    {"t_ane", ms(event.parts.ane)},
                    {"t_io", ms(event.parts.io)},
                    {"t_cls", ms(event.parts.classifier)},
                    {"t_elem", ms(event.parts.elementwise)},
                    {"t_rms", ms(event.parts.rms_norm)},
                    {"t_cblas_wait", ms(event.parts.blas_wait)},
                    {"compiles", event.compiles}}));
}

void Telemetry::on_update(const UpdateEvent& event) {
  Record update = {{"type", "update"},
                   {"update", event.update},
                   {"step", event.step},
                   {"loss", event.mean_loss},
                   {"lr", event.lr},
                   {"grad_norm", event.grad_norm},
                   {"loss_scale", event.loss_scale},
                   {"skipped", event.skipped.has_value()}};
  if (event.skipped) update["reason"] = *event.skipped;
  if (event.weights.count() > 0) update["weights_ms"] = ms(event.weights);
  file_.write(line(update));
  file_.write(line({{"type", "batch"},
                    {"batch", event.steps_in_batch},
                    {"compile_ms", ms(event.compile)},
                    {"train_ms", ms(event.train)},
                    {"ms_per_step", ms(event.train) / event.steps_in_batch}}));
  Record perf = {{"type", "perf"}};
  perf.update(rates_record(sustained_rates(flops_per_step_, event.steps_in_batch, event.train.count()), peak_tflops_));
  file_.write(line(perf));
}

void Telemetry::on_validation(const ValidationEvent& event) {
  file_.write(line({{"type", "val"},
                    {"update", event.update},
                    {"loss", event.loss},
                    {"samples", event.samples},
                    {"ms", ms(event.time)}}));
}

void Telemetry::on_checkpoint(const CheckpointEvent& event) {
  file_.write(
      line({{"type", "checkpoint"}, {"step", event.step}, {"path", event.path.string()}, {"ms", ms(event.time)}}));
}

void Telemetry::on_restart(const RestartEvent& event) {
  file_.write(line({{"type", "restart"}, {"step", event.step}, {"compiles", event.compiles}, {"loss", event.loss}}));
}

void Telemetry::on_resume(const ResumeEvent& event) {
  file_.write(line({{"type", "resume"},
                    {"step", event.step},
                    {"loss", event.loss},
                    {"from_checkpoint", event.from_checkpoint},
                    {"ms", ms(event.time)}}));
}

}  // namespace ane::train
