#include "ane/train/telemetry.h"

#include <chrono>
#include <ctime>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ane/train/clock.h"
#include "ane/train/optimizer.h"

namespace ane::train {

namespace {

/// Preserves the order of fields.
using Record = nlohmann::ordered_json;

constexpr std::string_view kRecordStart = "{\"type\":";

/// Appends fields to a record.
Record operator+(Record record, const Record& fields) {
  record.update(fields);
  return record;
}

std::string line(const Record& record) { return record.dump(-1, ' ', false, Record::error_handler_t::replace) + '\n'; }

/// UTC in ISO 8601: "2026-03-01T12:34:56.789Z".
std::string now_text() {
  using std::chrono::milliseconds;
  const auto since_epoch =
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const auto whole = static_cast<std::time_t>(since_epoch / 1000);
  std::tm utc{};
  ::gmtime_r(&whole, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, since_epoch % 1000);
}

/// The beginning of every record.
Record record_of(std::string_view type, std::int64_t step, std::int64_t update) {
  return {{"type", type}, {"time", now_text()}, {"step", step}, {"update", update}};
}

std::string hexadecimal(std::uint64_t id) { return fmt::format("{:016x}", id); }

/// "best_loss" and "best_update", null if there was no validation.
Record best_record(const BestValidation& best, const std::string& prefix) {
  const bool known = best.update >= 0;
  return {{prefix + "best_loss", known ? Record(best.loss) : Record()},
          {prefix + "best_update", known ? Record(best.update) : Record()}};
}

Record optimizer_record(const OptimizerOptions& options) {
  return {{"kind", optimizer_info(options.kind).name},
          {"lr", options.lr},
          {"min_lr", options.min_lr},
          {"warmup", options.warmup},
          {"schedule", options.schedule == ScheduleKind::constant ? "constant" : "cosine"},
          {"momentum", options.momentum},
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

/// Arrays with a value for each rank.
Record ranks_record(const std::vector<RankTimes>& ranks) {
  Record record = {{"compute_ms", Record::array()},
                   {"waiting_ms", Record::array()},
                   {"exchange_ms", Record::array()},
                   {"sent_bytes", Record::array()}};
  for (const RankTimes& times : ranks) {
    record["compute_ms"].push_back(milliseconds(times.compute));
    record["waiting_ms"].push_back(milliseconds(times.waiting));
    record["exchange_ms"].push_back(milliseconds(times.exchange));
    record["sent_bytes"].push_back(times.sent_bytes);
  }
  return record;
}

}  // namespace

Telemetry::Telemetry(const std::filesystem::path& path, const StepCost& step_cost, AppendFile::Warn warn,
                     std::optional<int> handed_over)
    : file_(path, "telemetry", std::move(warn), handed_over), step_cost_(step_cost) {
  if (!handed_over) file_.mend_end(kRecordStart);
}

std::int64_t Telemetry::tokens(std::int64_t steps) const noexcept {
  return steps * static_cast<std::int64_t>(step_cost_.tokens);
}

void Telemetry::run(const RunDescription& description) {
  const TrainOptions& options = description.options;
  file_.write(line(record_of("run", description.start.step, description.start.update) +
                   Record{{"run_id", hexadecimal(description.run_id)},
                          {"version", description.version},
                          {"model", model::dashboard_line(description.model)},
                          {"config", Record::parse(model::to_json(description.model))},
                          {"device", description.device},
                          {"data", description.data},
                          {"seed", description.seed},
                          {"threads", description.threads},
                          {"ranks", description.ranks},
                          {"max_compiles", description.max_compiles ? Record(*description.max_compiles) : Record()},
                          {"steps", options.steps == kUnlimitedSteps ? Record() : Record(options.steps)},
                          {"max_minutes", options.max_minutes > 0 ? Record(options.max_minutes) : Record()},
                          {"accum_steps", options.accum_steps},
                          {"tokens_per_step", step_cost_.tokens},
                          {"optimizer", optimizer_record(options.optimizer)}}));
}

void Telemetry::adapted(const Progress& progress, const std::string& what, const std::string& value,
                        const std::string& reason) {
  file_.write(line(record_of("adapted", progress.step, progress.update) +
                   Record{{"what", what}, {"value", value}, {"reason", reason}}));
}

void Telemetry::end(const std::string& outcome, const Progress& progress, const RunReport& report) {
  const RunTotals& totals = report.totals;
  const Rates rates = sustained_rates(report.flops_per_step, totals.steps, totals.train_ns);
  file_.write(line(record_of("end", progress.step, progress.update) +
                   Record{{"run_id", hexadecimal(totals.run_id)},
                          {"outcome", outcome},
                          {"updates", progress.update},
                          {"skipped_updates", totals.skipped_updates},
                          {"tokens", tokens(progress.step)},
                          {"run_tokens", tokens(totals.steps)},
                          {"loss", progress.last_loss}} +
                   best_record(totals.best_validation, "val_") +
                   Record{{"wall_ms", milliseconds(report.wall_ns)},
                          {"startup_ms", milliseconds(totals.startup_ns)},
                          {"compile_ms", milliseconds(totals.compile_ns)},
                          {"hidden_compile_ms", milliseconds(totals.hidden_compile_ns)},
                          {"weights_ms", milliseconds(totals.weights_ns)},
                          {"train_ms", milliseconds(totals.train_ns)},
                          {"validation_ms", milliseconds(totals.validation_ns)},
                          {"sampling_ms", milliseconds(totals.sampling_ns)},
                          {"checkpoint_ms", milliseconds(totals.checkpoint_ns)},
                          {"exchange_ms", milliseconds(totals.exchange_ns)},
                          {"exchanged_bytes", totals.exchanged_bytes},
                          {"restart_ms", milliseconds(totals.restart_ns)},
                          {"restarts", totals.restarts},
                          {"compiles", totals.compiles},
                          {"worker_compiles", totals.worker_compiles},
                          {"compile_rounds", totals.compile_rounds},
                          {"surfaces_created", totals.surfaces_created},
                          {"surfaces_reused", totals.surfaces_reused},
                          {"surfaces_released", totals.surfaces_released},
                          {"peak_memory_bytes", totals.peak_memory_bytes}} +
                   rates_record(rates, report.peak_tflops)));
}

void Telemetry::on_step(const StepEvent& event) {
  file_.write(
      line(record_of("step", event.step, event.update) + Record{{"loss", event.loss},
                                                                {"t_ane", milliseconds(event.parts.ane)},
                                                                {"t_io", milliseconds(event.parts.io)},
                                                                {"t_cls", milliseconds(event.parts.classifier)},
                                                                {"t_elem", milliseconds(event.parts.elementwise)},
                                                                {"t_rms", milliseconds(event.parts.rms_norm)},
                                                                {"t_cblas_wait", milliseconds(event.parts.blas_wait)},
                                                                {"compiles", event.compiles}}));
}

void Telemetry::on_update(const UpdateEvent& event) {
  Record update =
      record_of("update", event.step, event.update) +
      Record{{"tokens", tokens(event.step)}, {"loss", event.mean_loss},        {"lr", event.lr},
             {"grad_norm", event.grad_norm}, {"loss_scale", event.loss_scale}, {"skipped", event.skipped.has_value()}};
  if (event.skipped) update["reason"] = *event.skipped;
  if (event.weights.count() > 0) update["weights_ms"] = milliseconds(event.weights);
  file_.write(line(update));
  file_.write(line(record_of("batch", event.step, event.update) +
                   Record{{"batch", event.steps_in_batch},
                          {"compile_ms", milliseconds(event.compile)},
                          {"train_ms", milliseconds(event.train)},
                          {"ms_per_step", milliseconds(event.train) / event.steps_in_batch}}));
  const Rates rates = sustained_rates(step_cost_.flops, event.steps_in_batch, event.train.count());
  file_.write(line(record_of("perf", event.step, event.update) + rates_record(rates, step_cost_.peak_tflops)));
  if (!event.ranks.empty()) file_.write(line(record_of("ranks", event.step, event.update) + ranks_record(event.ranks)));
}

void Telemetry::on_validation(const ValidationEvent& event) {
  file_.write(line(record_of("val", event.step, event.update) +
                   Record{{"tokens", tokens(event.step)}, {"loss", event.loss}, {"best", event.is_best()}} +
                   best_record(event.best, "") + Record{{"samples", event.samples}, {"ms", milliseconds(event.time)}}));
}

void Telemetry::on_text_sample(const TextSampleEvent& event) {
  file_.write(line(record_of("sample", event.step, event.update) + Record{{"prompt", event.sample.prompt},
                                                                          {"text", event.sample.text},
                                                                          {"tokens", event.sample.tokens},
                                                                          {"ms", milliseconds(event.time)}}));
}

void Telemetry::on_checkpoint(const CheckpointEvent& event) {
  file_.write(line(record_of("checkpoint", event.step, event.update) +
                   Record{{"path", event.path.string()}, {"ms", milliseconds(event.time)}}));
}

void Telemetry::on_restart(const RestartEvent& event) {
  file_.write(line(record_of("restart", event.step, event.update) +
                   Record{{"compiles", event.compiles}, {"loss", event.loss}}));
}

void Telemetry::on_resume(const ResumeEvent& event) {
  file_.write(
      line(record_of("resume", event.step, event.update) +
           Record{{"loss", event.loss}, {"from_checkpoint", event.from_checkpoint}, {"ms", milliseconds(event.time)}}));
}

}  // namespace ane::train
